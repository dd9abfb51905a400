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


def test_rp_filter_of_all_is_moved_down_and_comes_back(tmp_path: Path) -> None:
    """Features 6.5: where one interface must not filter, all must not, and the others go on filtering."""
    root = tmp_path / "sys"
    found = {"all": "1", "default": "0", "eth0": "0", "eth1": "2", "vrrp.51": "0"}
    for interface, value in found.items():
        path = root / "net/ipv4/conf" / interface / "rp_filter"
        path.parent.mkdir(parents=True)
        path.write_text(f"{value}\n", encoding="ascii")

    def values() -> dict[str, str]:
        paths = (root / "net/ipv4/conf").glob("*/rp_filter")
        return {path.parent.name: path.read_text(encoding="ascii").strip() for path in paths}

    wanted = {"net/ipv4/conf/vrrp.51/rp_filter": "0", "net/ipv4/conf/all/rp_filter": "0"}
    moved = {"all": "0", "default": "1", "eth0": "1", "eth1": "2", "vrrp.51": "0"}
    for _ in range(2):
        assert Sysctls(tmp_path / "before", root).want(wanted) == []
        assert values() == moved
    assert Sysctls(tmp_path / "before", root).want({}) == []
    assert values() == found
