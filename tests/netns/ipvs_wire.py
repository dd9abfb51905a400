"""Network namespaces, web servers and clients, all in one process.

Namespaces are entered by threads and links are made by a few batches of `ip`: inside User-Mode Linux, where
this is used too, a fork costs a tenth of a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
TIMEOUT_S = 5.0
"""For one request; long enough for a retransmission and a busy machine."""
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def inside(namespace: str, action: Callable[[], T]) -> T:
    """Run `action` in a thread that is in the namespace."""
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            enter(namespace)
            results.append(action())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def enter(namespace: str) -> None:
    """Move this thread, or a process that is about to be, into the namespace."""
    with open(f"/run/netns/{namespace}") as file:
        if _libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def ip(lines: Iterable[str], namespace: str = "") -> None:
    """A batch for `ip`."""
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True)


def sysctl(namespace: str, **values: int) -> None:
    """Set net.ipv4 settings, `conf__all__arp_ignore=1`."""

    def write() -> None:
        for name, value in values.items():
            with open(f"/proc/sys/net/ipv4/{name.replace('__', '/')}", "w") as file:
                file.write(str(value))

    inside(namespace, write)


def spawn(namespace: str, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """A process in the namespace; what it logs goes to the end of a file, or to the console."""
    with contextlib.nullcontext() if log is None else log.open("ab") as stderr:
        return subprocess.Popen(command, preexec_fn=lambda: enter(namespace), stderr=stderr)


class Web:
    """A web server in a thread: answers its name to every request."""

    def __init__(self, namespace: str, address: str, name: str, port: int = 80) -> None:
        self._name = name
        self._socket = inside(namespace, lambda: _listening(address, port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering: connections are refused from now on."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            # Each by itself: a probe that is slow to ask must not hold up the others.
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        body = self._name.encode()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(TIMEOUT_S)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def ask(namespace: str, address: str, times: int = 1, port: int = 80) -> dict[str, int]:
    """How often each server answered to requests from the namespace; refusals under their errno's name."""

    def requests() -> dict[str, int]:
        return dict(Counter(_request(address, port) for _ in range(times)))

    return inside(namespace, requests)


def _request(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return os.strerror(error.errno or 0)
    return answer.partition(b"\r\n\r\n")[2].decode()


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=64, reuse_port=False)
