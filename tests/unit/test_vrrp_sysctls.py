"""Kernel settings that instances ask for, on a directory that stands for /proc/sys."""

from __future__ import annotations

from pathlib import Path

from keepbus_vrrp.sysctls import Sysctls

ONE, OTHER = "net/ipv4/conf/eth0/promote_secondaries", "net/ipv4/conf/eth1/promote_secondaries"


def made(tmp_path: Path) -> tuple[Sysctls, Path]:
    for name in (ONE, OTHER):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("0\n", encoding="ascii")
    return Sysctls(tmp_path / "before", tmp_path), tmp_path


def test_set_and_put_back(tmp_path: Path) -> None:
    sysctls, root = made(tmp_path)
    assert sysctls.want({ONE: "1"}) == []
    assert (root / ONE).read_text() == "1"
    assert sysctls.want({ONE: "1", OTHER: "1"}) == []
    assert sysctls.want({OTHER: "1"}) == []
    assert ((root / ONE).read_text(), (root / OTHER).read_text()) == ("0", "1")
    assert sysctls.want({}) == []
    assert (root / OTHER).read_text() == "0"


def test_the_next_process_knows_what_was_before(tmp_path: Path) -> None:
    """A crash in between: what keepbus itself set is not taken for the value to come back to."""
    _, root = made(tmp_path)
    Sysctls(root / "before", root).want({ONE: "1"})
    successor = Sysctls(root / "before", root)
    successor.want({ONE: "1"})
    successor.want({})
    assert (root / ONE).read_text() == "0"


def test_what_was_so_before_stays(tmp_path: Path) -> None:
    sysctls, root = made(tmp_path)
    (root / ONE).write_text("1\n", encoding="ascii")
    sysctls.want({ONE: "1"})
    sysctls.want({})
    assert (root / ONE).read_text() == "1\n"


def test_changed_by_others_is_told_once_and_left(tmp_path: Path) -> None:
    """R-F50."""
    sysctls, root = made(tmp_path)
    sysctls.want({ONE: "1"})
    assert sysctls.changed() == []
    (root / ONE).write_text("0\n", encoding="ascii")
    (told,) = sysctls.changed()
    assert "another program set net.ipv4.conf.eth0.promote_secondaries to 0" in told
    assert sysctls.changed() == []
    assert (root / ONE).read_text() == "0\n"
    sysctls.want({ONE: "1"})
    assert sysctls.changed() == []
    (root / ONE).write_text("0\n", encoding="ascii")
    assert len(sysctls.changed()) == 1


def test_an_interface_that_is_not_there(tmp_path: Path) -> None:
    sysctls, root = made(tmp_path)
    missing = "net/ipv4/conf/eth7/promote_secondaries"
    assert sysctls.want({missing: "1"}) == []
    (root / missing).parent.mkdir()
    (root / missing).write_text("0\n", encoding="ascii")
    assert sysctls.want({missing: "1"}) == []
    assert (root / missing).read_text() == "1"
    (root / missing).unlink()
    assert sysctls.want({}) == []


def test_a_kept_file_that_is_garbage_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("[", encoding="utf-8")
    sysctls, root = made(tmp_path)
    sysctls.want({ONE: "1"})
    sysctls.want({})
    assert (root / ONE).read_text() == "0"
