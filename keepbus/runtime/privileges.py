"""What a process may do, read from the kernel, held against what its service needs."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from keepbus.runtime import prctl

# linux/capability.h
CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_ADMIN": 21,
    "SYS_NICE": 23,
    "SYS_RESOURCE": 24,
}


_CAPABILITY_VERSION_3 = 0x20080522


def effective() -> int:
    """The effective capability set of this process as a bit mask."""
    return _set_of("CapEff:")


def permitted() -> int:
    """The permitted one: what it can make effective."""
    return _set_of("CapPrm:")


def _set_of(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1], 16)
    return 0


def missing(needs: frozenset[str], held: int) -> list[str]:
    """Names of the needed capabilities that are not held, sorted."""
    return sorted(name for name in needs if not held >> CAPABILITIES[name] & 1)


def surplus(needs: frozenset[str], held: int) -> bool:
    """True when more is held than needed."""
    return bool(held & ~sum(1 << CAPABILITIES[name] for name in needs))


def strict() -> bool:
    """True when the service was started with its privileges cut down and must not hold more."""
    return os.environ.get("KEEPBUS_PRIVILEGES") == "strict"


def give_up(but: Iterable[str] = ()) -> None:
    """Give up every capability for good, as setpriv does for other services; raises OSError.

    but: what is kept until `reduce_to` takes it away, too; what is executed gets nothing of it.
    For a service that has started, with more, a process of its own that goes on with it. The bounding set
    stays where it can't be cut; no-new-privs closes that way, too.
    """
    number = 0
    while prctl.control(prctl.CAPBSET_READ, number) >= 0:
        prctl.control(prctl.CAPBSET_DROP, number)
        number += 1
    prctl.control(prctl.CAP_AMBIENT, prctl.CAP_AMBIENT_CLEAR_ALL)
    if prctl.control(prctl.SET_NO_NEW_PRIVS, 1) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    reduce_to(frozenset(but))


def reduce_to(names: frozenset[str], later: frozenset[str] = frozenset()) -> None:
    """Give up every effective and permitted capability but these; raises OSError.

    later: those that stay permitted, so that another call can still make them effective.
    For a service whose children may hold more than itself; all others are started with less by setpriv,
    which also closes the way back (bounding set, no-new-privs).
    """
    held = permitted() & sum(1 << CAPABILITIES[name] for name in names)
    kept = permitted() & sum(1 << CAPABILITIES[name] for name in names | later)
    # linux/capability.h: version 3 has two data blocks, the low and the high 32 bits of each set.
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = (held & 0xFFFF_FFFF, kept & 0xFFFF_FFFF), (held >> 32, kept >> 32)
    data = struct.pack("=6I", *low, 0, *high, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
