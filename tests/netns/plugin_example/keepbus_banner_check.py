"""An example of a plug-in (docs/plugins.md): a server must greet, and answer a question if there is one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import ClassVar


class BannerCheck:
    """BANNER_CHECK { greeting TEXT, ask TEXT, answer TEXT }"""

    WORDS: ClassVar[Mapping[str, str]] = {"greeting": "text", "ask": "text", "answer": "text"}

    def converse(self, settings: Mapping[str, str]) -> Generator[bytes, bytes, tuple[bool, str]]:
        """Wait for the greeting; ask, where there is something to ask."""
        greeting = yield from self._line(b"")
        if not greeting.startswith(settings.get("greeting", "")):
            return False, f"greeting {greeting}"
        if "ask" not in settings:
            return True, f"greeting {greeting}"
        answer = yield from self._line(f"{settings['ask']}\r\n".encode())
        return answer == settings.get("answer", answer), f"answer {answer}"

    def _line(self, say: bytes) -> Generator[bytes, bytes, str]:
        received = b""
        while b"\n" not in received:
            more = yield say
            if not more:
                return "cut off"
            received, say = received + more, b""
        return received.decode("ascii", "replace").strip()


class Broken:
    """Does everything wrong, one thing for each `how`."""

    WORDS: ClassVar[Mapping[str, str]] = {"how": "one-of raises yields returns goes-on"}

    def converse(self, settings: Mapping[str, str]) -> Generator[bytes, bytes, tuple[bool, str]]:
        """As `how` says."""
        if settings["how"] == "raises":
            raise KeyError("what")
        if settings["how"] == "yields":
            yield "text"  # type: ignore[misc]
        if settings["how"] == "returns":
            return "yes"  # type: ignore[return-value]
        while True:
            yield b""
