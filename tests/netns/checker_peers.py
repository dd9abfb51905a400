"""Tiny SMTP, DNS and UDP servers on loopback, good ones and bad ones."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable

Talk = Iterable[bytes | float]
"""What an SMTP server sends: octets before and after each line that it reads; a number is a pause in s."""


def smtp(*talk: bytes | float) -> Callable[[socket.socket, bytes], None]:
    """Behaviour of checker_servers.Server: greet, then answer each line with the next octets."""

    def behaviour(connection: socket.socket, _request: bytes) -> None:
        connection.settimeout(5)
        for words in talk:
            if isinstance(words, float):
                time.sleep(words)
                continue
            connection.sendall(words)
            if words.endswith(b"\n"):
                line = b""
                while not line.endswith(b"\n"):
                    octets = connection.recv(1)
                    if not octets:
                        return
                    line += octets

    return behaviour


class UdpServer:
    """Answers each datagram with those that `answers` makes of it."""

    def __init__(self, answers: Callable[[bytes], Iterable[bytes]], address: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop answering: a blocked read does not end with its descriptor, so it is woken first."""
        closing, self._answers = self._socket, lambda request: ()
        with contextlib.suppress(OSError):
            closing.shutdown(socket.SHUT_RDWR)
        closing.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                request, peer = self._socket.recvfrom(65536)
                if not peer:
                    return
                self.requests.append(request)
                for answer in self._answers(request):
                    self._socket.sendto(answer, peer)


def dns_answer(
    request: bytes, *, flags: int = 0x8180, identity: int | None = None, tail: bytes = b""
) -> bytes:
    """An answer without records; tail stands for one."""
    number = struct.unpack_from("!H", request)[0] if identity is None else identity
    return struct.pack("!6H", number, flags, 1, 1 if tail else 0, 0, 0) + request[12:] + tail
