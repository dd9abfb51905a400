"""Whatever a file of tests started and made in the host is gone when it ends, also after a failure.

Processes are known by a variable in their surroundings, which children inherit; namespaces and files by this
process's id in their names.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_MARK = "KEEPBUS_TESTED_BY"
_PATIENCE_S = 10.0


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left() -> Iterator[None]:
    os.environ[_MARK] = str(os.getpid())
    yield
    deadline = time.monotonic() + _PATIENCE_S
    while left := [*_processes(), *_namespaces(), *_files()]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.05)


def _processes() -> list[str]:
    """What still runs of all that was started here, as pid and command line."""
    mark = f"{_MARK}={os.getpid()}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(bytes(1), b" ").decode()
                found.append(f"{folder.name} {command}")
        except OSError:
            continue  # ended, or of a user that is not ours to look at
    return found


def _namespaces() -> list[str]:
    folder = Path("/run/netns")
    return [path.name for path in folder.glob(f"*{os.getpid()}*")] if folder.is_dir() else []


def _files() -> list[str]:
    """Our own files outside pytest's directory."""
    return [str(path) for path in Path(tempfile.gettempdir()).glob(f"kb*{os.getpid()}*")]
