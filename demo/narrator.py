"""What the demo prints: chapters, steps with the time they took, and the table at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that the demo claimed and looked at."""

    chapter: str
    text: str
    held: bool
    took_s: float
    seen: str


class Narrator:
    """Tells the story and keeps the score."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._chapter = ""
        self._began = time.monotonic()
        self.claims: list[Claim] = []

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, where the terminal shows colours."""
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self._chapter = title
        print(f"\n{self.paint(title, '1;36')}\n{self.paint(text, '2')}", flush=True)

    def tell(self, text: str) -> None:
        """A line of the story."""
        print(f"  {text}", flush=True)

    def show(self, text: str) -> None:
        """Output of a command, as a user sees it."""
        for line in text.rstrip().splitlines():
            print(f"    {line}", flush=True)

    def expect(self, text: str, look: Callable[[], str | None], *, within_s: float) -> bool:
        """Claim `text` and look until it is so. `look` answers with what it saw, None while it is not so."""
        began = time.monotonic()
        seen = look()
        while seen is None and time.monotonic() - began < within_s:
            time.sleep(_POLL_S)
            seen = look()
        took_s = time.monotonic() - began
        held = seen is not None
        self.claims.append(Claim(self._chapter, text, held, took_s, seen or "not seen"))
        mark = self.paint("✔", "1;32") if held else self.paint("✘", "1;31")
        detail = seen if held else f"not so after {within_s:.0f} s"
        print(
            f"  {mark} {text} {self.paint(f'{took_s:6.2f} s', '33')}  {self.paint(detail or '', '2')}",
            flush=True,
        )
        return held

    @contextmanager
    def timed(self, text: str) -> Iterator[None]:
        """A step without a claim; tells how long it took."""
        began = time.monotonic()
        yield
        print(f"  · {text} {self.paint(f'{time.monotonic() - began:6.2f} s', '33')}", flush=True)

    def table(self) -> bool:
        """Print the score; True when every claim held."""
        print(f"\n{self.paint('What was claimed, and what was seen', '1;36')}")
        chapter = ""
        for claim in self.claims:
            if claim.chapter != chapter:
                chapter = claim.chapter
                print(f"  {chapter}")
            mark = self.paint("pass", "32") if claim.held else self.paint("FAIL", "1;31")
            print(f"    {mark}  {claim.took_s:6.2f} s  {claim.text}")
        failed = sum(not claim.held for claim in self.claims)
        passed = len(self.claims) - failed
        colour = "1;31" if failed else "1;32"
        print(
            "  "
            + self.paint(f"{passed} passed, {failed} failed", colour)
            + f" in {time.monotonic() - self._began:.0f} s",
            flush=True,
        )
        return not failed
