"""Reads the answer to a GET from octets as they come: status, length, digest. No socket, no waiting.

Law of this file: nothing of the body is kept (but what a regex is looked for in, see search.py), and of the
head no more than its limit, whatever the server sends. Anything that is not an HTTP/1 head is a reason, never
an exception. The rules are keepalived's (reference: keepalived-features 13.3): the head ends with an empty
line in CR LF, `Content-Length` is known in this spelling only and bounds what is digested and searched,
chunks are not decoded, the answer ends with the connection.
"""

from __future__ import annotations

import hashlib

from keepbus.config.model import Url
from keepbus_checker.search import Search

MOST_HEAD_OCTETS = 16 * 1024
MOST_BODY_OCTETS = 64 * 1024 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH_NAME = b"\r\nContent-Length:"


class Answer:
    """The answer to one GET."""

    __slots__ = ("_digest", "_head", "_length", "_search", "_status", "_taken", "_url")

    def __init__(self, url: Url) -> None:
        self._url = url
        self._head = b""
        self._status: int | None = None
        """None until the head is complete; 0 when it has no status code."""
        self._length = -1
        self._taken = 0
        self._digest = hashlib.md5(usedforsecurity=False) if url.digest else None
        self._search = None if url.regex is None else Search(url.regex)

    def feed(self, octets: memoryview | bytes) -> str:
        """Take what came; why no more is wanted, empty while everything is well."""
        if self._status is None:
            head = bytes(octets) if not self._head else self._head + octets
            end = head.find(_HEAD_END)
            if end < 0:
                self._head = head
                return f"head longer than {MOST_HEAD_OCTETS} octets" if len(head) > MOST_HEAD_OCTETS else ""
            self._head = b""
            self._read_head(head[: end + 2])
            octets = head[end + len(_HEAD_END) :]
        if octets and (self._digest is not None or self._search is not None):
            counted = octets if self._length < 0 else octets[: max(0, self._length - self._taken)]
            if self._digest is not None:
                self._digest.update(counted)
            if self._search is not None:
                self._search.feed(counted)
        self._taken += len(octets)
        return f"body longer than {MOST_BODY_OCTETS} octets" if self._taken > MOST_BODY_OCTETS else ""

    def end(self) -> tuple[bool, str]:
        """The connection ended: whether the answer is as wanted, and what it was."""
        if self._status is None:
            return False, "head not complete" if self._head else "no answer, connection closed"
        if not self._status:
            return False, "no status code in the answer"
        received = f"{self._status}, {self._taken} octets"
        if not any(wanted.low <= self._status <= wanted.high for wanted in self._url.status_codes):
            return False, received
        if self._digest is not None:
            digest = self._digest.hexdigest()
            if digest != self._url.digest:
                return False, f"{received}, MD5 {digest} instead of {self._url.digest}"
            received = f"{received}, MD5 {digest}"
        if self._search is not None:
            passed, found = self._search.end()
            return passed, f"{received}, {found}"
        return True, received

    def _read_head(self, head: bytes) -> None:
        line = head[: head.find(b"\r\n")]
        blank = line.find(b" ")
        code = line[blank + 1 : blank + 4]
        follows = line[blank + 4 : blank + 5]
        is_code = blank > 0 and len(code) == 3 and code.isdigit() and not follows.isdigit()
        self._status = int(code) if is_code else 0
        start = head.find(_LENGTH_NAME)
        if start >= 0:
            value = head[start + len(_LENGTH_NAME) : head.find(b"\r\n", start + 2)].strip()
            if value.isdigit() and len(value) < 19:
                self._length = int(value)


def request(path: str, host: str, http_protocol: str) -> bytes:
    """The request as keepalived writes it; http_protocol is 1.0, 1.0C or 1.1."""
    version = "1.1" if http_protocol == "1.1" else "1.0"
    lines = [f"GET {path} HTTP/{version}", "User-Agent: KeepAliveClient"]
    if http_protocol != "1.0":
        lines.append("Connection: close")
    lines.append(f"Host: {host}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "replace")
