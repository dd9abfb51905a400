"""As whom a script runs.

The configured user; else `script_user`; else keepalived_script where that user exists; else the service's own
user, but never root unless the configuration says `root`: that is where this differs from keepalived (see
docs/decisions/0501-scripts-never-run-as-root-by-default.md). In a user namespace that holds one user only
nobody else can be had, so everything runs as that user.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from keepbus.runtime import privileges

DEFAULT_USER = "keepalived_script"
NEEDS = ("SETUID", "SETGID", "KILL")
"""Capabilities for becoming another user and ending his processes."""


class Refused(Exception):
    """The script will not be run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """User and groups of a script. `switch` is False when the service has them already."""

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups."""
    switch: bool
    root: bool
    """It has the rights of the machine's root, or its group."""
    remark: str = ""
    """Why it is not who was configured."""


def capabilities_held() -> tuple[str, ...]:
    """Those of NEEDS that this process has: what it may hold without holding too much."""
    held = privileges.effective()
    return tuple(name for name in NEEDS if not privileges.missing(frozenset({name}), held))


def resolve(user: str, group: str) -> Identity:
    """Whom a script with these settings runs as; raises Refused.

    group may begin with `:`, which adds the user's supplementary groups.
    """
    own = _ourselves()
    if _is_alone():
        remark = "this user namespace holds one user only" if user not in ("", own.user) else ""
        return Identity(own.user, own.uid, own.gid, own.groups, switch=False, root=False, remark=remark)
    if not user:
        if own.uid != 0:
            may_switch = not privileges.missing(frozenset({"SETUID", "SETGID"}), privileges.effective())
            if not (may_switch and _exists(DEFAULT_USER)):
                return own
        elif not _exists(DEFAULT_USER):
            raise Refused(
                f"no user is set to run it, and root is not taken by itself: add `script_user USER` to "
                f"global_defs, or the user {DEFAULT_USER} to this system"
            )
        user = DEFAULT_USER
    return _look_up(user, group, own)


def _look_up(user: str, group: str, own: Identity) -> Identity:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"there is no user {user} on this system; add it, or name another") from None
    with_supplementary = group.startswith(":")
    group = group.removeprefix(":")
    gid = entry.pw_gid
    if group:
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise Refused(f"there is no group {group} on this system; add it, or name another") from None
    groups = tuple(os.getgrouplist(user, gid)) if with_supplementary else ()
    if (entry.pw_uid, gid) == (own.uid, own.gid) and not with_supplementary:
        return own
    if privileges.missing(frozenset({"SETUID", "SETGID"}), privileges.effective()):
        raise Refused(
            f"this service runs as {own.user} and cannot become {user}; start the node as root, "
            f"or let {own.user} run the scripts"
        )
    root = entry.pw_uid == 0 or gid == 0 or 0 in groups
    return Identity(user, entry.pw_uid, gid, groups, switch=True, root=root)


def _ourselves() -> Identity:
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Identity(name, uid, gid, tuple(os.getgroups()), switch=False, root=uid == 0 or gid == 0)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _is_alone() -> bool:
    """True in a user namespace with one user in it, as `unshare -Ur` makes."""
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[2]) for line in lines) == 1
