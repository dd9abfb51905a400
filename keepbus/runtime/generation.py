"""Compiled configurations in the run directory: `config/<generation>/<section>.json` and `config/current`.

A generation is written whole, then `current` is switched by one rename, so that a reader sees the old one
or the new one. Services load their own section and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from keepbus.contracts.schema import SchemaError, from_plain, to_sparse

if TYPE_CHECKING:
    from keepbus.config.model.configuration import Configuration

SectionT = TypeVar("SectionT")

SECTIONS = ("global_defs", "vrrp", "checker", "ipvs", "notify")
_KEPT_GENERATIONS = 5


class NoConfigurationError(Exception):
    """There is no readable generation; the message says what to do."""


def write(
    run_dir: Path,
    configuration: Configuration,
    source: Path,
    config_id: str = "",
    ipvs_driver: str = "",
) -> int:
    """Write the next generation, make it current, drop old ones; its number.

    config_id: what `@ID` conditions of the file were compared with; empty: the short host name.
    ipvs_driver: the one that the node was started with. A reload compiles with the same two.
    Raises OSError when the run directory cannot be written; nothing changes then.
    """
    directory = run_dir / "config"
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    generation = max(_numbers(directory), default=0) + 1
    fresh = directory / f".{generation}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o750)
    files = {f"{section}.json": _text(getattr(configuration, section)) for section in SECTIONS}
    files |= {"source": f"{source}\n", "config_id": f"{config_id}\n", "ipvs_driver": f"{ipvs_driver}\n"}
    for name, text in files.items():
        path = fresh / name
        # Whoever may read it may not say what the next reload compiles.
        path.touch(mode=0o640)
        path.write_text(text, encoding="utf-8")
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
        return int(directory.name), _read(directory, section, cls)
    except FileNotFoundError:
        raise NoConfigurationError(_absent(run_dir)) from None
    except (OSError, ValueError, SchemaError) as error:
        raise NoConfigurationError(
            f"{current}/{section}.json cannot be used ({error}); "
            f"compile it anew with `keepbus reload -r {run_dir}`"
        ) from None


def load_all(run_dir: Path) -> tuple[int, Configuration]:
    """The current generation's number and the whole of it; raises NoConfigurationError."""
    # Here, because no service has a use for the model of another.
    from keepbus.config.model.configuration import Configuration

    current = run_dir / "config" / "current"
    try:
        directory = current.resolve(strict=True)
        sections = {name: _read(directory, name, cls) for name, cls in get_type_hints(Configuration).items()}
        return int(directory.name), Configuration(**sections)
    except FileNotFoundError:
        raise NoConfigurationError(_absent(run_dir)) from None
    except PermissionError:
        raise NoConfigurationError(_forbidden(run_dir)) from None
    except (OSError, ValueError, SchemaError) as error:
        raise NoConfigurationError(
            f"{current} cannot be used ({error}); compile it anew with `keepbus reload -r {run_dir}`"
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
    except PermissionError:
        raise NoConfigurationError(_forbidden(run_dir)) from None
    except OSError:
        raise NoConfigurationError(
            f"{run_dir} is no run directory of a node; name one with -r RUNDIR"
        ) from None


def config_id(run_dir: Path) -> str:
    """What `@ID` conditions of the current generation's file were compared with; empty: the host's name."""
    return _remembered(run_dir, "config_id")


def ipvs_driver(run_dir: Path) -> str:
    """The IPVS driver that the node was started with, empty: not known."""
    return _remembered(run_dir, "ipvs_driver")


def _remembered(run_dir: Path, name: str) -> str:
    with contextlib.suppress(OSError):
        return (run_dir / "config" / "current" / name).read_text(encoding="utf-8").strip()
    return ""


def _read(directory: Path, section: str, cls: type[SectionT]) -> SectionT:
    """One section; raises OSError, ValueError, SchemaError."""
    return from_plain(cls, json.loads((directory / f"{section}.json").read_text(encoding="utf-8")))


def _text(section: Any) -> str:
    """A section as JSON; each element of its lists on a line of its own, for loader.py."""
    fields = []
    for name, value in to_sparse(section).items():
        if isinstance(value, list) and value:
            fields.append("\n".join(_framed(name, [json.dumps(item, ensure_ascii=False) for item in value])))
        else:
            fields.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _framed(name: str, lines: Sequence[str]) -> Iterator[str]:
    """A list as `_text` writes it."""
    yield f"{json.dumps(name)}: ["
    for line in lines[:-1]:
        yield f"{line},"
    yield from lines[-1:]
    yield "]"


def _forbidden(run_dir: Path) -> str:
    return f"you may not read the node's configuration in {run_dir}; become root or join its group"


def _absent(run_dir: Path) -> str:
    return (
        f"{run_dir}/config/current holds no compiled configuration; "
        f"start the node with `keepbus up -f FILE -r {run_dir}`"
    )


def _numbers(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.iterdir() if path.name.isdecimal()]
