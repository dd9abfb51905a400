"""What checker may still do once it knows its configuration.

It starts with what marking packets may take, and keeps of that what the kernel asks for where a check has a
`fwmark`; else nothing. What is given up can't be had back: a reload that brings the first mark needs a new
process (machine.py), which loses no verdict.
"""

from __future__ import annotations

import socket

from keepbus.runtime import privileges

MARKING = ("NET_RAW", "NET_ADMIN")
"""Either lets a process mark packets, the first since Linux 5.17."""
UNMARKED = (
    "this process may not mark packets, as `fwmark` asks for; "
    "start the node with CAP_NET_RAW (Linux 5.17 and later) or CAP_NET_ADMIN"
)


def confine(marks: bool) -> bool:
    """Give up what is not needed; whether this process can mark packets. Raises OSError."""
    for name in MARKING if marks else ():
        privileges.reduce_to(frozenset((name,)), later=frozenset(MARKING))
        if can_mark():
            privileges.reduce_to(frozenset((name,)))
            return True
    privileges.reduce_to(frozenset())
    return False


def can_mark(_marks: bool = True) -> bool:
    """Whether this process can mark packets now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 1)
        except PermissionError:
            return False
    return True
