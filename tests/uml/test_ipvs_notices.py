"""FIFO lines of a whole life beside keepalived: `omega`, `rs_init_notifies`, alpha, quorum (12.3 to 12.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def notices(scenario: Callable[[str], Any]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = scenario("scenario_notices")
    return found


def by_virtual_server(lines: list[str]) -> dict[str, list[str]]:
    """Order is promised within a virtual server, as its checks end in any order beside the others'."""
    found: dict[str, list[str]] = {}
    for line in lines:
        found.setdefault(line.split()[-2], []).append(line)
    return found


@pytest.mark.parametrize("init", ["", ", init"])
@pytest.mark.parametrize("when", ["start", "reload", "stop"])
def test_the_same_is_told_as_by_keepalived(
    notices: dict[str, dict[str, list[str]]], when: str, init: str
) -> None:
    theirs, ours = notices[f"keepalived{init}"][when], notices[f"keepbus{init}"][when]
    assert by_virtual_server(ours) == by_virtual_server(theirs)


def test_omega_and_nothing_else_is_told_at_a_stop(notices: dict[str, dict[str, list[str]]]) -> None:
    told = notices["keepbus"]["stop"]
    assert told[-1] == "VS [192.0.2.10]:tcp:80 DOWN"
    assert all("[192.0.2.10]:tcp:80 DOWN" in line for line in told)
