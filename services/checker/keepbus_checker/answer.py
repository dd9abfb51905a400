"""Reads the answer to a GET from octets as they come: status, length, digest. No socket, no waiting.

Law of this file: nothing of the body is kept (but what a regex is looked for in, see search.py), and of the
head no more than its limit, whatever the server sends. Anything that is not an HTTP/1 head is a reason, never
an exception. The rules are keepalived's (reference: keepalived-features 13.3): the head ends with an empty
line in CR LF, `Content-Length` is known in this spelling only and bounds what is digested and searched,
chunks are not decoded, the answer ends with the connection.
"""

from __future__ import annotations

import hashlib
import re

from keepbus.config.model.checker import Url
from keepbus_checker.search import Search

MOST_HEAD_OCTETS = 16 * 1024
MOST_BODY_OCTETS = 64 * 1024 * 1024
_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"[^ \r\n]+ (\d{3})(?!\d)")
_LENGTH = re.compile(rb"\r\nContent-Length:(.*?)\r\n")
_MOST_DIGITS = 18


class Answer:
    """The answer to one GET."""

    __slots__ = ("_content", "_head", "_status", "_taken", "url")

    def __init__(self, url: Url) -> None:
        self.url = url
        self._head = b""
        self._status: int | None = None
        """None until the head is complete; 0 when it has no status code."""
        self._taken = 0
        """Octets of the body."""
        self._content = _Content(url) if url.digest or url.regex is not None else None

    def feed(self, octets: memoryview | bytes) -> str:
        """Take what came; why no more is wanted, empty while everything is well."""
        if self._status is None:
            head = self._head + octets
            end = head.find(_HEAD_END)
            if end < 0:
                self._head = head
                return f"head longer than {MOST_HEAD_OCTETS} octets" if len(head) > MOST_HEAD_OCTETS else ""
            self._head = b""
            status = _STATUS.match(head)
            self._status = int(status[1]) if status else 0
            body = end + len(_HEAD_END)
            self._taken = len(head) - body
            if self._content is not None:
                self._content.read_head(head[:body])
                self._content.feed(head[body:])
            return ""
        if self._content is not None:
            self._content.feed(octets)
        self._taken += len(octets)
        return f"body longer than {MOST_BODY_OCTETS} octets" if self._taken > MOST_BODY_OCTETS else ""

    def end(self) -> tuple[bool, str]:
        """The connection ended: whether the answer is as wanted, and what it was."""
        status = self._status
        if status is None:
            return False, "head not complete" if self._head else "no answer, connection closed"
        if not status:
            return False, "no status code in the answer"
        received = f"{status}, {self._taken} octets"
        for wanted in self.url.status_codes:
            if wanted.low <= status <= wanted.high:
                return (True, received) if self._content is None else self._content.end(received)
        return False, received


class _Content:
    """What a digest or a regex of a page is about: the body, as far as Content-Length counts it."""

    __slots__ = ("_digest", "_left", "_search", "_wanted")

    def __init__(self, url: Url) -> None:
        self._wanted = url.digest
        self._digest = hashlib.md5(usedforsecurity=False) if url.digest else None
        self._search = None if url.regex is None else Search(url.regex)
        self._left: int | None = None
        """Octets still to come; None without a Content-Length."""

    def read_head(self, head: bytes) -> None:
        # The first one counts, and where it is no number there is none.
        found = _LENGTH.search(head)
        value = found[1].strip(b" \t") if found else b""
        self._left = int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else None

    def feed(self, octets: memoryview | bytes) -> None:
        if self._left is not None:
            octets = octets[: self._left]
            self._left -= len(octets)
        if not octets:
            return
        if self._digest is not None:
            self._digest.update(octets)
        if self._search is not None:
            self._search.feed(octets)

    def end(self, received: str) -> tuple[bool, str]:
        """received: what is known of the answer already."""
        if self._digest is not None:
            digest = self._digest.hexdigest()
            if digest != self._wanted:
                return False, f"{received}, MD5 {digest} instead of {self._wanted}"
            received = f"{received}, MD5 {digest}"
        if self._search is not None:
            passed, found = self._search.end()
            return passed, f"{received}, {found}"
        return True, received


def request(path: str, host: str, http_protocol: str) -> bytes:
    """The request as keepalived writes it; http_protocol is 1.0, 1.0C or 1.1."""
    version = "1.1" if http_protocol == "1.1" else "1.0"
    lines = [f"GET {path} HTTP/{version}", "User-Agent: KeepAliveClient"]
    if http_protocol != "1.0":
        lines.append("Connection: close")
    lines.append(f"Host: {host}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "replace")
