"""Whether a script can be run, and whether others could change what root runs.

The rules are keepalived's (keepalived-features 11), with one change: a symbolic link on the way is followed
and both its place and its target are held to the rules, because on today's systems /bin is one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from keepbus.runtime.scripts.identity import Identity, Refused

_MOST_LINKS = 40
_EXECUTE = (stat.S_IXUSR, stat.S_IXGRP, stat.S_IXOTH)


@dataclass(frozen=True, slots=True)
class Executable:
    """A script that may be run."""

    path: str
    warnings: tuple[str, ...] = ()


def examine(path: str, identity: Identity, *, security: bool) -> Executable:
    """The file to execute for argv[0] `path`; raises Refused when it must not or cannot be run.

    security is enable_script_security: what root would run must not be changeable by others; without it
    that is a warning.
    """
    warnings: list[str] = []
    if "/" not in path:
        found = shutil.which(path)
        if found is None:
            raise Refused(f"{path} is not in the search path; name it with its full path")
        warnings.append(f"{path} was found as {found}; name it with its full path")
        path = found
    if not path.startswith("/"):
        raise Refused(f"{path} does not begin with /; name it with its full path")
    try:
        status = os.stat(path)
    except PermissionError:
        # Not ours to look into; whom it runs as may see more. The start itself will tell.
        if identity.root and security:
            raise Refused(f"{path} cannot be examined, and root would run it") from None
        return Executable(path, tuple(warnings))
    except OSError as error:
        raise Refused(f"{path} cannot be run: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{path} is not a file")
    if not _may_execute(status, identity):
        raise Refused(f"{path} is not executable for user {identity.user}; use chmod")
    becomes_root = (status.st_mode & stat.S_ISUID and status.st_uid == 0) or (
        status.st_mode & stat.S_ISGID and status.st_gid == 0
    )
    if identity.root or becomes_root:
        weakness = _weakness(path)
        if weakness and security:
            raise Refused(f"root would run {path}, but {weakness}")
        if weakness:
            warnings.append(f"root runs {path}, but {weakness}; enable_script_security would refuse it")
    return Executable(path, tuple(warnings))


def _may_execute(status: os.stat_result, identity: Identity) -> bool:
    # Root, too: scripts begin without the capability that overrides modes.
    owner, group, others = _EXECUTE
    if status.st_uid == identity.uid:
        return bool(status.st_mode & owner)
    if status.st_gid == identity.gid or status.st_gid in identity.groups:
        return bool(status.st_mode & group)
    return bool(status.st_mode & others)


def _weakness(path: str) -> str:
    """What makes a path changeable by others than root, empty when nothing does."""
    try:
        for component, status in _components(path):
            if status.st_uid != 0:
                return f"{component} belongs to uid {status.st_uid}"
            if stat.S_ISLNK(status.st_mode):
                continue  # its mode says nothing; who may replace it is its directory's affair
            if status.st_mode & stat.S_IWGRP and status.st_gid != 0:
                return f"group {status.st_gid} may write {component}"
            sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
            if status.st_mode & stat.S_IWOTH and not sticky:
                return f"everybody may write {component}"
    except OSError as error:
        return f"its path cannot be examined: {error.strerror}"
    return ""


def _components(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything that is looked up on the way to a file, links and their targets' ways included."""
    links = 0
    todo = list(reversed(PurePosixPath(path).parts))
    at = ""
    while todo:
        part = todo.pop()
        if part == "..":
            at = os.path.dirname(at) or "/"
            continue
        here = os.path.join(at, part)
        status = os.lstat(here)
        yield here, status
        if not stat.S_ISLNK(status.st_mode):
            at = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(40, "Too many levels of symbolic links")
        todo.extend(reversed(PurePosixPath(os.readlink(here)).parts))
