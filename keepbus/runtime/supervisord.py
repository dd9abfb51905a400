"""Talking to supervisord: XML-RPC over its Unix socket.

supervisord waits up to a second between its looks at its children, unless something happens on one of its
descriptors. Every call and every bare connection ends that wait, which is how a dead service is restarted
and a stopping one reaped at once (see docs/decisions/0402-waking-supervisord.md).
"""

from __future__ import annotations

import contextlib
import os
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any

_RECEIVE_OCTETS = 65_536


class SupervisordError(Exception):
    """supervisord did not answer, or answered with a fault."""


class Call:
    """One call that never waits: watch `fileno()` for reading and feed it with `read` until it is done."""

    def __init__(self, path: Path, method: str, *arguments: Any) -> None:
        """Connect and send. Raises SupervisordError when nobody listens, the backlog is full, or there is no
        descriptor left."""
        body = xmlrpc.client.dumps(arguments, method).encode()
        request = (
            f"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise SupervisordError(f"no socket for {path}: {error.strerror}") from None
        self._answer = b""
        try:
            self._socket.connect(os.fspath(path))
            # A request is far smaller than a socket's buffer: it leaves whole or the socket is dead.
            self._socket.send(request)
        except OSError as error:
            self._socket.close()
            raise SupervisordError(f"{path}: {error.strerror}") from None

    def fileno(self) -> int:
        """The descriptor to watch for reading."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Take what has come; True when the answer is whole."""
        try:
            octets = self._socket.recv(_RECEIVE_OCTETS)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SupervisordError(f"the answer ended early: {error.strerror or error}") from None
        self._answer += octets
        return not octets

    def result(self) -> Any:
        """What the call returned. Raises SupervisordError."""
        head, _, body = self._answer.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].split()
        if len(status) < 2 or status[1] != b"200":
            raise SupervisordError(f"answered {b' '.join(status[1:]).decode(errors='replace') or 'nothing'}")
        try:
            (value,), _ = xmlrpc.client.loads(body.decode())
        except xmlrpc.client.Fault as fault:
            raise SupervisordError(fault.faultString) from None
        except Exception as error:  # expat, Unicode and value errors alike
            raise SupervisordError(f"unreadable answer: {type(error).__name__}") from None
        return value

    def close(self) -> None:
        """Forget the call; unwatch its descriptor first."""
        self._socket.close()


def call(path: Path, method: str, *arguments: Any, timeout_s: float = 2.0) -> Any:
    """Call and wait for the result. Raises SupervisordError."""
    pending = Call(path, method, *arguments)
    pending._socket.settimeout(timeout_s)
    try:
        while not pending.read():
            pass
        return pending.result()
    finally:
        pending.close()


def wake(path: Path) -> None:
    """End supervisord's wait, so that it looks at its children now. Nothing happens when it is not there, or
    there is no descriptor left."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection,
    ):
        connection.connect_ex(os.fspath(path))
