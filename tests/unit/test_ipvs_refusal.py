"""What the IPVS driver cannot carry is refused when the file is compiled."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from keepbus.cli import compiling, up
from keepbus.cli.__main__ import main
from keepbus.config.compiler import Compiled, compile_file
from keepbus.runtime import privileges

FILE = """
virtual_server 192.0.2.1 80 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.3 80 {
        weight 1
    }
}
"""


def test_direct_routing_with_nftables_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(privileges, "missing", lambda *_: [])
    file = tmp_path / "keepalived.conf"
    file.write_text(FILE)
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    run_dir = tmp_path / "run"
    options = parser.parse_args(["-f", str(file), "-r", str(run_dir), "--ipvs-driver", "nftables"])
    assert up.run(options) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        f"{file}:2:1: error: the nftables driver has no DR; use lb_kind NAT or the ipvs driver [ipvs-driver]"
    )
    assert said[-1] == (f"keepbus: {file} cannot be used; the node is not started")
    assert not run_dir.exists()


def compiled(folder: Path, driver: str, *, permissive: bool = False) -> Compiled:
    file = folder / "keepalived.conf"
    file.write_text(FILE)
    return compile_file(file, ipvs_driver=driver, permissive=permissive)


@pytest.mark.parametrize("driver", ["", "ipvs", "dry-run"])
def test_drivers_that_carry_it(tmp_path: Path, driver: str) -> None:
    assert compiled(tmp_path, driver).exit_status == 0


def test_permissive_runs_the_rest(tmp_path: Path) -> None:
    found = compiled(tmp_path, "nftables", permissive=True)
    assert found.exit_status == 1
    assert [each.code for each in found.warnings] == ["ipvs-driver"]


def test_a_driver_that_may_stand_in_is_a_warning(tmp_path: Path) -> None:
    found = compiled(tmp_path, "auto")
    assert found.exit_status == 1
    (warning,) = found.warnings
    assert warning.text == (
        "this host has no ip_vs, and the nftables driver has no DR; use lb_kind NAT or the ipvs driver"
    )


@pytest.mark.parametrize(("has", "limiting"), [(True, ""), (False, "auto")])
def test_auto_limits_nothing_where_the_kernel_has_ip_vs(
    monkeypatch: pytest.MonkeyPatch, has: bool, limiting: str
) -> None:
    monkeypatch.setattr(compiling, "_host_has_ip_vs", lambda: has)
    assert compiling.limiting_driver("auto") == limiting
    assert compiling.limiting_driver("nftables") == "nftables"
    assert compiling.limiting_driver("") == ""


def test_check_asks_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keepalived.conf"
    file.write_text(FILE)
    assert main(["check", str(file)]) == 0
    assert main(["check", "--ipvs-driver", "nftables", str(file)]) == 2
    assert "[ipvs-driver]" in capsys.readouterr().out
