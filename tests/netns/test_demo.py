"""The demo is a test: every claim of it must hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"]


@pytest.mark.timeout(300)
def test_every_claim_of_the_demo_holds() -> None:
    if subprocess.run(NAMESPACES, capture_output=True, check=False).returncode:
        pytest.skip("this kernel lets nobody make namespaces: the demo was not run")
    demo = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert " 0 failed" in demo.stdout
