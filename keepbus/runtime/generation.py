"""Compiled configurations in the run directory: `config/<generation>/<section>.json` and `config/current`.

A generation is written whole, then `current` is switched by one rename, so that a reader sees the old one
or the new one. Services load their own section and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TypeVar

from keepbus.config.model import Configuration
from keepbus.contracts.schema import SchemaError, from_plain, to_plain

SectionT = TypeVar("SectionT")

_KEPT_GENERATIONS = 5


class NoConfigurationError(Exception):
    """There is no readable generation; the message says what to do."""


def write(run_dir: Path, configuration: Configuration, source: Path) -> int:
    """Write the next generation, make it current, drop old ones; its number.

    Raises OSError when the run directory cannot be written; nothing changes then.
    """
    directory = run_dir / "config"
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    generation = max(_numbers(directory), default=0) + 1
    fresh = directory / f".{generation}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o750)
    for section in ("global_defs", "vrrp", "checker", "ipvs", "notify"):
        text = json.dumps(to_plain(getattr(configuration, section)), ensure_ascii=False)
        path = fresh / f"{section}.json"
        path.touch(mode=0o640)
        path.write_text(text, encoding="utf-8")
    (fresh / "source").write_text(f"{source}\n", encoding="utf-8")
    os.rename(fresh, directory / str(generation))
    link = directory / ".current.new"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(str(generation))
    os.rename(link, directory / "current")
    for number in sorted(_numbers(directory))[:-_KEPT_GENERATIONS]:
        shutil.rmtree(directory / str(number), ignore_errors=True)
    return generation


def load(run_dir: Path, section: str, cls: type[SectionT]) -> tuple[int, SectionT]:
    """The current generation's number and one of its sections; raises NoConfigurationError."""
    current = run_dir / "config" / "current"
    try:
        # Resolved once, so that number and content are of the same generation.
        directory = current.resolve(strict=True)
        data = json.loads((directory / f"{section}.json").read_text(encoding="utf-8"))
        return int(directory.name), from_plain(cls, data)
    except FileNotFoundError:
        raise NoConfigurationError(
            f"{current} holds no compiled configuration; "
            f"start the node with `keepbus up -f FILE -r {run_dir}`"
        ) from None
    except (OSError, ValueError, SchemaError) as error:
        raise NoConfigurationError(
            f"{current}/{section}.json cannot be used ({error}); "
            f"compile it anew with `keepbus reload -r {run_dir}`"
        ) from None


def current(run_dir: Path) -> int:
    """The current generation's number, 0 when there is none."""
    try:
        return int(os.readlink(run_dir / "config" / "current"))
    except (OSError, ValueError):
        return 0


def source(run_dir: Path) -> Path:
    """The file that the current generation was compiled from; raises NoConfigurationError."""
    try:
        return Path((run_dir / "config" / "current" / "source").read_text(encoding="utf-8").strip())
    except OSError:
        raise NoConfigurationError(
            f"{run_dir} is no run directory of a node; name one with -r RUNDIR"
        ) from None


def _numbers(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.iterdir() if path.name.isdecimal()]
