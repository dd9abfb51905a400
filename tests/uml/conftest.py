"""Boots a real IPVS kernel once: Debian's user-mode-linux.

`scenario(name)` is what tests/uml/NAME.py's `run()` returned in there. All scenarios run in one boot, one
process; a test file on this side asserts what they found.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boot import KERNEL, boot

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A function from a scenario's name to what it found; skips where there is no linux.uml."""
    kernel = shutil.which(KERNEL)
    if kernel is None:
        pytest.skip("no linux.uml: real IPVS is not tested (apt install user-mode-linux)")
    results = tmp_path_factory.mktemp("uml")
    console = boot(kernel, results, sorted(HERE.glob("scenario_*.py")))

    def found(name: str) -> Any:
        try:
            outcome = json.loads((results / f"{name}.json").read_text())
        except FileNotFoundError:
            error = results / "error"
            pytest.fail(f"{name} did not run:\n{error.read_text() if error.exists() else console[-3000:]}")
        if "error" in outcome:
            pytest.fail(f"in the guest:\n{outcome['error']}")
        return outcome["result"]

    return found
