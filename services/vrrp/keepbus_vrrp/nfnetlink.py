"""A socket that hands nftables transactions to the kernel, which carries them out within the send."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from keepbus_vrrp import nftables as nft

_NETLINK_NETFILTER = 12
_BUFFER_OCTETS = 1 << 20
_RECV_OCTETS = 1 << 16
ABSENT = (errno.EPROTONOSUPPORT, errno.EOPNOTSUPP)
"""What a kernel without nftables answers."""


class Nfnetlink:
    """One socket."""

    def __init__(self) -> None:
        """Raises OSError when the kernel has no nfnetlink."""
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            _NETLINK_NETFILTER,
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_OCTETS)
        self._socket.bind((0, 0))
        self._sequence = 0

    def commit(self, messages: Sequence[bytes]) -> None:
        """One transaction, all or nothing. Raises OSError."""
        first = self._sequence
        self._sequence = (first + len(messages) + 2) & 0x7FFFFFFF
        self._socket.send(nft.batch(messages, first))
        failed = 0
        while True:
            try:
                answer = self._socket.recv(_RECV_OCTETS)
            except BlockingIOError:
                break
            for _, number in nft.errors(answer):
                failed = failed or number
        if failed:
            raise OSError(failed, os.strerror(failed))

    def close(self) -> None:
        """Close."""
        self._socket.close()


def why(error: OSError) -> str:
    """Why there are no rules."""
    if error.errno in ABSENT:
        return "this kernel has no nftables"
    return f"the kernel's nftables: {error.strerror}"
