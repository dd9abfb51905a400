"""`keepbus up` refuses what the named IPVS driver cannot carry."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from keepbus.cli import up
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
    assert capsys.readouterr().err.splitlines()[-1] == (
        "keepbus: [192.0.2.1]:tcp:80 cannot be run: the nftables driver has no DR; use lb_kind NAT "
        "or the ipvs driver, or run the rest of the file with --permissive"
    )
    assert not run_dir.exists()
