"""The client's side of an SMTP_CHECK: what to say to which reply. No socket, no waiting.

Law of this file: of what the server sends no more than one line is kept, and anything that is not a reply is
a reason, never an exception. The rules are keepalived's (reference: keepalived-features 13.2): greeting 220,
`HELO` 250, then `QUIT` with any reply; a reply is one line, so a continued one (`250-`) fails.
"""

from __future__ import annotations

from typing import NamedTuple

LONGEST_REPLY = 512
"""RFC 5321 section 4.5.3.1.5, the line's end included."""
DEFAULT_HELO_NAME = "smtpchecker.keepalived.org"
"""keepalived's."""
_SHOWN = 80
_CODE_OCTETS = 3


class Move(NamedTuple):
    """What comes of the octets that were fed."""

    say: bytes = b""
    """To be sent now."""
    passed: bool | None = None
    """The verdict; None while the dialogue goes on."""
    received: str = ""
    """With a verdict: one line for the operator."""


class Dialogue:
    """One connection's dialogue."""

    __slots__ = ("_line", "_steps")

    def __init__(self, helo_name: str) -> None:
        """helo_name may be empty: DEFAULT_HELO_NAME."""
        helo_name = helo_name or DEFAULT_HELO_NAME
        self._line = bytearray()
        # What is wanted next (0: any reply), what it is called, and what to say then.
        helo = b"HELO " + helo_name.encode("utf-8", "replace") + b"\r\n"
        self._steps = [
            (0, "QUIT", b""),
            (250, "HELO", b"QUIT\r\n"),
            (220, "greeting", helo),
        ]

    def feed(self, octets: bytes | memoryview) -> Move:
        """Take what came."""
        self._line += octets
        say = b""
        while (end := self._line.find(b"\n")) >= 0:
            if end >= LONGEST_REPLY:
                break
            line = bytes(self._line[:end]).removesuffix(b"\r")
            del self._line[: end + 1]
            wanted, step, next_words = self._steps.pop()
            code = _code_of(line)
            if code is None or (wanted and code != wanted):
                return Move(b"", False, f"{step}: {_shown(line)}")
            if not self._steps:
                return Move(b"", True, _shown(line))
            say += next_words
        if len(self._line) > LONGEST_REPLY:
            return Move(b"", False, f"{self._steps[-1][1]}: reply longer than {LONGEST_REPLY} octets")
        return Move(say)

    def closed(self) -> str:
        """The server closed before the last reply: what the operator reads."""
        return f"connection closed before the reply to {self._steps[-1][1]}".replace(
            "reply to greeting", "greeting"
        )


def _code_of(line: bytes) -> int | None:
    code = line[:_CODE_OCTETS]
    if (
        len(code) < _CODE_OCTETS
        or not code.isdigit()
        or line[_CODE_OCTETS : _CODE_OCTETS + 1] not in (b"", b" ")
    ):
        return None
    return int(code)


def _shown(line: bytes) -> str:
    """A line of a stranger as an operator may see it: printable, and not too long."""
    text = line.decode("ascii", "replace")
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
