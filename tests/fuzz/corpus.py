"""How a fuzz target runs: libFuzzer's options, and a folder of inputs that reach something new.

CORPUS is such a folder; it is made and filled with the target's seeds if it is not there, and what a run
finds is kept in it. A run that ends with an exception writes the input beside it and prints its name; given
in place of the folder, it is played alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris


def fuzz(arguments: list[str], one_input: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Never returns: libFuzzer ends the process."""
    if len(arguments) < 2 or arguments[1].startswith("-"):
        sys.exit(f"{arguments[0]}: name a folder for the corpus first, then libFuzzer's options")
    folder = Path(arguments[1])
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, seed in enumerate(seeds):
            (folder / f"seed{number}").write_bytes(seed)
    atheris.Setup([*arguments, f"-artifact_prefix={folder.parent}/"], one_input)
    atheris.Fuzz()
