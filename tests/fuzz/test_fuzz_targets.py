"""The fuzz targets, for so many inputs from a fixed start: no exception escapes (F15, R-F76, R-F84)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not here (it has no wheel for this Python or processor): only hypothesis fuzzed",
)
TARGETS = {"fuzz_vrrp_packet": 40_000, "fuzz_config": 300}


@pytest.mark.parametrize("target", TARGETS)
def test_no_exception_escapes(target: str, tmp_path: Path) -> None:
    command = [
        sys.executable, str(Path(__file__).with_name(f"{target}.py")), str(tmp_path / "corpus"),
        f"-runs={TARGETS[target]}", "-seed=20", "-timeout=10",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    found = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}\ninput: {found}"
    assert f"Done {TARGETS[target]} runs" in done.stderr
    assert len(list((tmp_path / "corpus").iterdir())) > 20, "it found nothing new: coverage does not guide it"
