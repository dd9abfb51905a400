"""What the compiler makes survives the run directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepbus.config.compiler import compile_file
from keepbus.contracts.schema import from_plain, to_plain

CONTRACT = Path(__file__).resolve().parents[1] / "contract" / "data" / "complete.conf"
SEED = sorted((Path(__file__).resolve().parents[1] / "seed").iterdir())


@pytest.mark.parametrize("path", [CONTRACT, *SEED], ids=lambda path: path.name)
def test_there_and_back(path: Path) -> None:
    configuration = compile_file(path, permissive=True).configuration
    assert configuration is not None
    assert from_plain(type(configuration), to_plain(configuration)) == configuration


def test_compiling_twice_gives_the_same() -> None:
    """Nothing in it depends on time, on hash seeds or on the order of sets."""
    first, second = (compile_file(CONTRACT) for _ in range(2))
    assert first == second
