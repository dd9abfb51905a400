"""prctl(2). Numbers are those of linux/prctl.h."""

from __future__ import annotations

import ctypes
import signal

CAPBSET_READ, CAPBSET_DROP, SET_NO_NEW_PRIVS = 23, 24, 38
CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 47, 4
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


def control(option: int, value: int = 0) -> int:
    """What prctl returns: below 0, and ctypes.get_errno() says why, when the kernel refuses."""
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0))


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies."""
    control(_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Be the parent of whatever loses its own further down."""
    control(_SET_CHILD_SUBREAPER, 1)
