"""Whom scripts run as, and what root may run (keepalived-features 11; R-F82)."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from keepbus.runtime.loop import Loop
from keepbus.runtime.scripts import identity as identities
from keepbus.runtime.scripts.identity import DEFAULT_USER, Identity, Refused, resolve
from keepbus.runtime.scripts.processes import CANNOT_START, Processes, environment
from keepbus.runtime.scripts.security import examine

NOBODY = Identity("nobody", 65534, 65534, (), switch=True, root=False)
ROOT = Identity("root", 0, 0, (), switch=False, root=True)
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: nothing was tried about what root may run"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory whose whole path is root's, when the tests are run by root."""
    folder = tmp_path / "scripts"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def script(folder: Path) -> Path:
    path = folder / "script"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_good_script(script: Path) -> None:
    found = examine(str(script), NOBODY, security=True)
    assert (found.path, found.warnings) == (str(script), ())


def test_a_missing_script_is_refused(folder: Path) -> None:
    with pytest.raises(Refused, match="cannot be run: No such file"):
        examine(str(folder / "none"), NOBODY, security=False)


def test_a_directory_is_no_script(folder: Path) -> None:
    with pytest.raises(Refused, match="is not a file"):
        examine(str(folder), NOBODY, security=False)


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(Refused, match="full path"):
        examine("scripts/one", NOBODY, security=False)


def test_a_bare_name_is_searched_for_and_warned_of() -> None:
    found = examine("true", NOBODY, security=True)
    assert found.path.endswith("/true")
    assert "full path" in found.warnings[0]
    with pytest.raises(Refused, match="not in the search path"):
        examine("no-such-command-anywhere", NOBODY, security=False)


@pytest.mark.parametrize(
    ("mode", "owner", "group", "who", "may"),
    [
        (0o700, 0, 0, ROOT, True),
        (0o600, 0, 0, ROOT, False),
        (0o001, 0, 0, ROOT, False),
        (0o700, 65534, 0, ROOT, False),
        (0o700, 0, 0, NOBODY, False),
        (0o701, 0, 0, NOBODY, True),
        (0o100, 65534, 0, NOBODY, True),
        (0o077, 65534, 0, NOBODY, False),  # the owner's bits count for the owner, whatever the others are
        (0o010, 0, 65534, NOBODY, True),
        (0o701, 0, 65534, NOBODY, False),
        (0o010, 0, 7, Identity("nobody", 65534, 65534, (7,), switch=True, root=False), True),
    ],
)
@as_root
def test_who_may_execute(script: Path, mode: int, owner: int, group: int, who: Identity, may: bool) -> None:
    os.chown(script, owner, group)
    script.chmod(mode)
    if may:
        examine(str(script), who, security=False)
    else:
        with pytest.raises(Refused, match="not executable for user"):
            examine(str(script), who, security=False)


def weaknesses(script: Path, folder: Path, what: str) -> None:
    """Make the script's path weak in one way."""
    if what == "script writable by everybody":
        script.chmod(0o757)
    elif what == "script of another":
        os.chown(script, 65534, 0)
    elif what == "script writable by a group":
        os.chown(script, 0, 65534)
        script.chmod(0o775)
    elif what == "directory writable by everybody":
        folder.chmod(0o757)
    elif what == "directory of another":
        os.chown(folder, 65534, 0)
    elif what == "directory writable by a group":
        os.chown(folder, 0, 65534)
        folder.chmod(0o775)


WEAKNESSES = [
    "script writable by everybody",
    "script of another",
    "script writable by a group",
    "directory writable by everybody",
    "directory of another",
    "directory writable by a group",
]


@as_root
@pytest.mark.parametrize("what", WEAKNESSES)
def test_what_others_could_change_root_does_not_run_under_security(
    script: Path, folder: Path, what: str
) -> None:
    weaknesses(script, folder, what)
    with pytest.raises(Refused, match="root would run"):
        examine(str(script), ROOT, security=True)
    assert "enable_script_security" in examine(str(script), ROOT, security=False).warnings[0]
    # Another user may run what he likes.
    assert examine(str(script), NOBODY, security=True).warnings == ()


@as_root
def test_group_writable_is_fine_when_the_group_is_root_and_sticky_directories_are(
    script: Path, folder: Path
) -> None:
    script.chmod(0o775)
    folder.chmod(0o1777)
    assert examine(str(script), ROOT, security=True).warnings == ()


@as_root
def test_group_root_counts_as_root(script: Path) -> None:
    script.chmod(0o757)
    with pytest.raises(Refused, match="root would run"):
        examine(str(script), Identity("x", 1000, 0, (), switch=True, root=True), security=True)


@as_root
@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_script_that_becomes_root_is_held_to_the_same(script: Path, folder: Path, mode: int) -> None:
    script.chmod(mode)
    assert examine(str(script), NOBODY, security=True).warnings == ()
    folder.chmod(0o777)
    with pytest.raises(Refused, match="root would run"):
        examine(str(script), NOBODY, security=True)


@as_root
def test_a_link_is_followed_and_its_whole_way_is_held_to_the_rules(
    script: Path, folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to("scripts")
    assert examine(f"{link}/script", ROOT, security=True).warnings == ()
    folder.chmod(0o777)
    with pytest.raises(Refused, match="everybody may write"):
        examine(f"{link}/script", ROOT, security=True)


@as_root
def test_a_link_in_a_weak_directory_is_weak_though_its_target_is_not(script: Path, tmp_path: Path) -> None:
    """R-F82: a path through a link."""
    weak = tmp_path / "weak"
    weak.mkdir()
    weak.chmod(0o777)
    (weak / "step").symlink_to(script)
    (tmp_path / "link").symlink_to("weak/step")
    with pytest.raises(Refused, match="everybody may write"):
        examine(str(tmp_path / "link"), ROOT, security=True)


@as_root
def test_a_link_of_another_user_is_weak(script: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(script)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(Refused, match="belongs to uid 65534"):
        examine(str(link), ROOT, security=True)


def test_links_that_go_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Refused, match="cannot be run"):
        examine(str(tmp_path / "a"), ROOT, security=True)


class System:
    """A system with these users, seen by a process of one of them."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, uid: int, may_switch: bool, alone: bool = False
    ) -> None:
        self.users = {"root": (0, 0), "alice": (1000, 1000)}
        monkeypatch.setattr(identities.os, "geteuid", lambda: uid)
        monkeypatch.setattr(identities.os, "getegid", lambda: uid)
        monkeypatch.setattr(identities.os, "getgroups", list)
        monkeypatch.setattr(identities.os, "getgrouplist", lambda _user, gid: [gid, 33])
        monkeypatch.setattr(identities.pwd, "getpwnam", self.by_name)
        monkeypatch.setattr(identities.pwd, "getpwuid", self.by_uid)
        monkeypatch.setattr(identities.privileges, "effective", lambda: -1 if may_switch else 0)
        monkeypatch.setattr(identities, "_is_alone", lambda: alone)

    def by_name(self, name: str) -> pwd.struct_passwd:
        uid, gid = self.users[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))

    def by_uid(self, uid: int) -> pwd.struct_passwd:
        return self.by_name(next(name for name, (own, _) in self.users.items() if own == uid))


def test_root_without_a_user_for_scripts_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=0, may_switch=True)
    with pytest.raises(Refused, match="script_user"):
        resolve("", "")


def test_root_runs_scripts_as_root_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=0, may_switch=True)
    who = resolve("root", "")
    assert (who.uid, who.switch, who.root) == (0, False, True)


def test_the_default_user_is_taken_where_he_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=0, may_switch=True).users[DEFAULT_USER] = (500, 501)
    who = resolve("", "")
    assert (who.user, who.uid, who.gid, who.groups, who.switch, who.root) == (
        DEFAULT_USER,
        500,
        501,
        (),
        True,
        False,
    )


def test_a_named_user_gets_no_supplementary_groups_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=0, may_switch=True)
    assert resolve("alice", "").groups == ()
    assert resolve("alice", ":").groups == (1000, 33)


def test_a_group_of_root_makes_it_root(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=0, may_switch=True)
    assert resolve("alice", "root").root is True


@pytest.mark.parametrize(
    ("user", "group"), [("nemo", ""), ("alice", "no-such-group"), ("alice", ":no-such-group")]
)
def test_unknown_users_and_groups_are_refused(monkeypatch: pytest.MonkeyPatch, user: str, group: str) -> None:
    System(monkeypatch, uid=0, may_switch=True)
    with pytest.raises(Refused, match="there is no"):
        resolve(user, group)


def test_without_privileges_scripts_run_as_notify_does(monkeypatch: pytest.MonkeyPatch) -> None:
    System(monkeypatch, uid=1000, may_switch=False).users[DEFAULT_USER] = (500, 501)
    assert (resolve("", "").user, resolve("alice", "").user) == ("alice", "alice")
    with pytest.raises(Refused, match="cannot become"):
        resolve("root", "")


def test_in_a_namespace_of_one_everything_runs_as_that_one_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    System(monkeypatch, uid=0, may_switch=True, alone=True)
    assert resolve("", "").remark == ""
    who = resolve("alice", "www")
    assert (who.uid, who.switch, who.root) == (0, False, False)
    assert "one user only" in who.remark


def test_the_environment_of_a_script() -> None:
    ours = {
        "PATH": "/bin", "HOME": "/root", "IFS": "x", "LD_PRELOAD": "x", "LD_LIBRARY_PATH": "x",
        "ENV": "x", "BASH_ENV": "x", "BASH_FUNC_ls%%": "x", "KEEPBUS_PRIVILEGES": "strict",
        "SUPERVISOR_SERVER_URL": "x", "LANG": "C.UTF-8",
    }  # fmt: skip
    assert environment(ours) == {"PATH": "/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def children() -> str:
    """Of this process, the dead that nobody has waited for, too."""
    return Path("/proc/thread-self/children").read_text(encoding="ascii")


@pytest.mark.parametrize("call", ["pipe2", "pidfd_open"])
def test_a_script_for_which_no_descriptor_is_left_has_not_started_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    own = resolve("", "") if os.geteuid() else ROOT
    processes = Processes(Loop(), lambda _ended: ())
    children_before = children()
    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, none_left)
        ended = processes.start(1, ("sleep", "60"), "/bin/sleep", own)
    assert ended is not None
    assert (ended.exit_status, ended.last_line) == (
        CANNOT_START,
        "/bin/sleep could not be started: Too many open files",
    )
    assert os.listdir("/proc/self/fd") == before
    assert len(processes) == 0
    assert children() == children_before
