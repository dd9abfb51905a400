"""The kernel's table equals what Debian's keepalived makes of the same file, entry by entry, step by step.

Where keepalived is wrong, what is right stands here, by hand. All schedulers of W16 are among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from corpus import CORPUS, RELOADED, lines_of

pytestmark = pytest.mark.timeout(300)
STEPS = ("start", "A down", "all down", "all up", "reloaded")
BY_HAND: dict[tuple[str, str], Callable[[str], str | None]] = {
    # keepalived would have the kernel send to port 0.
    ("sorry_without_port", "all down"): lambda line: line.replace("198.51.100.9:0", "198.51.100.9:80"),
    # keepalived leaves the service of a member that is not in the group any more, without servers.
    ("group_range", "reloaded"): lambda line: None if " 10.39.0.1:" in line else line,
    ("group_fwmarks", "reloaded"): lambda line: None if " -f 20" in line else line,
}
"""What becomes of keepalived's lines."""


def expected(name: str, step: str, table: list[str]) -> list[str]:
    """What keepalived made of it, put right."""
    right = BY_HAND.get((name, step), lambda line: line)
    return [line for line in map(right, lines_of(name, table)) if line is not None]


@pytest.mark.parametrize("name", CORPUS)
def test_same_table_as_keepalived(scenario: Callable[[str], Any], name: str) -> None:
    found = scenario("scenario_corpus")
    for step in STEPS:
        wanted = expected(name, step, found["keepalived"][step])
        assert lines_of(name, found["keepbus"][step]) == wanted, step
        # ip_vs_twos is not among this kernel's modules.
        assert wanted or name in ("scheduler_twos",) or (step == "reloaded" and not RELOADED.get(name, "x"))


def test_nothing_else_is_in_the_table(scenario: Callable[[str], Any]) -> None:
    found = scenario("scenario_corpus")["keepbus"]
    for step in STEPS:
        told = [line for name in CORPUS for line in lines_of(name, found[step])]
        assert sorted(told) == found[step]


def test_a_stop_leaves_nothing(scenario: Callable[[str], Any]) -> None:
    # keepalived leaves what a reload took out of a group.
    assert scenario("scenario_corpus")["keepbus"]["stopped"] == []
