"""`net_namespace NAME`: the network namespace that a node lives in, entered before anything of it starts.

Its services inherit it. The run directory stays where it is, so that every verb reaches the node from
outside; each node of a host has one of its own (`-r RUNDIR`).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from keepbus.config.model.configuration import GlobalDefs
from keepbus.runtime import generation

_NAMED = Path("/run/netns")
"""Where `ip netns add` puts them."""
_CLONE_NEWNET = 0x40000000


class NamespaceError(Exception):
    """It cannot be entered; the message says what to do."""


def enter(name: str) -> None:
    """Let this process, and what it starts, live in the namespace. Raises NamespaceError."""
    path = _NAMED / name
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NamespaceError(
            f"net_namespace {name}: {path} cannot be opened ({error.strerror}); "
            f"make it with `ip netns add {name}`"
        ) from None
    try:
        if ctypes.CDLL(None, use_errno=True).setns(opened, _CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            raise NamespaceError(
                f"net_namespace {name} cannot be entered ({reason}); start the node as root, or inside of it "
                f"with `ip netns exec {name}` and without `net_namespace`"
            )
    finally:
        os.close(opened)


def moved(run_dir: Path, wanted: GlobalDefs) -> str:
    """Why a running node cannot have this configuration; empty when it can. keepalived refuses both, too."""
    try:
        _, running = generation.load(run_dir, "global_defs", GlobalDefs)
    except generation.NoConfigurationError:
        return ""
    for keyword in ("net_namespace", "instance"):
        before, after = getattr(running, keyword), getattr(wanted, keyword)
        if before != after:
            return (
                f"{keyword} is {after or 'none'} now and was {before or 'none'} when the node started; "
                "it takes effect when the node is stopped and started again"
            )
    return ""
