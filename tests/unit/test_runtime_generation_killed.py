"""R-F10: the command that compiles is killed at any moment; the node runs on with what it has.

There is no configuration service: `keepbus reload` compiles, writes a generation and is gone. It is killed
here before each single thing that it asks the operating system for, which audit hooks tell.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from test_runtime_generation import ONE

from keepbus.config.model.configuration import Configuration, GlobalDefs
from keepbus.config.model.vrrp import VrrpSection
from keepbus.runtime import generation

TWO = dataclasses.replace(ONE, global_defs=GlobalDefs(router_id="d2"))
THREE = dataclasses.replace(ONE, global_defs=GlobalDefs(router_id="d3"))
_ASKS = ("open", "os.mkdir", "os.rename", "os.remove", "os.symlink", "os.rmdir", "os.chmod", "shutil.rmtree")


def write_and_die(run_dir: Path, configuration: Configuration, before: int) -> int:
    """Write a generation in a process that is killed before its `before`th request; 0 if it lived."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    asked = 0

    def hook(event: str, _arguments: object) -> None:
        nonlocal asked
        if event in _ASKS:
            asked += 1
            if asked == before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    try:
        generation.write(run_dir, configuration, Path("f"))
    finally:
        os._exit(0)


def deaths(tmp_path: Path, configuration: Configuration, earlier: int) -> Iterator[tuple[Path, bool]]:
    """A run directory with `earlier` generations of ONE for each moment of death, and one without a death."""
    for before in range(1, 100):
        run_dir = tmp_path / str(before)
        for _ in range(earlier):
            generation.write(run_dir, ONE, Path("f"))
        killed = write_and_die(run_dir, configuration, before) == signal.SIGKILL
        yield run_dir, killed
        if not killed:
            assert before > 15, "no moment was tried"
            return
    raise AssertionError("it never came to an end")


def test_r_f10_what_is_current_is_whole_and_the_next_reload_works(tmp_path: Path) -> None:
    seen = []
    for run_dir, killed in deaths(tmp_path, TWO, 1):
        number, found = generation.load_all(run_dir)
        assert (number, found) in ((1, ONE), (2, TWO))
        assert killed or number == 2
        seen.append(number)
        assert generation.load(run_dir, "vrrp", VrrpSection) == (number, ONE.vrrp)
        # A reload that comes after it is not in its way, and leaves nothing of it.
        again = generation.write(run_dir, THREE, Path("f"))
        assert generation.load_all(run_dir) == (again, THREE)
        assert again > number
        assert not [path.name for path in (run_dir / "config").iterdir() if path.name.startswith(".")]
    assert seen == sorted(seen), "once switched it stays switched"
    assert set(seen) == {1, 2}


def test_r_f10_removing_old_generations_may_end_anywhere(tmp_path: Path) -> None:
    for run_dir, _ in deaths(tmp_path, TWO, 5):
        number, found = generation.load_all(run_dir)
        assert (number, found) in ((5, ONE), (6, TWO))
        for _ in range(6):
            generation.write(run_dir, THREE, Path("f"))
        kept = [path.name for path in (run_dir / "config").iterdir()]
        assert len(kept) == 6, "five generations and `current`"
