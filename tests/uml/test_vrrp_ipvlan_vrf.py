"""`use_ipvlan`, `vrf` and a route in a VRF on a kernel that has them, with Debian's keepalived as peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def found(scenario: Callable[[str], Any]) -> dict[str, Any]:
    result: dict[str, Any] = scenario("scenario_ipvlan_vrf")
    return result


def test_an_ipvlan_speaks_with_that_of_keepalived(found: dict[str, Any]) -> None:
    ipvlan = found["ipvlan"]
    ours, theirs = ipvlan["made"]
    assert ours == theirs
    assert ours["info_kind"] == "ipvlan"
    assert ipvlan["addresses"] == ["10.9.0.11", "10.9.0.100"]
    assert ipvlan["answered by keepbus"]
    assert ipvlan["answered by keepalived"]
    assert ipvlan["status"] == 0
    assert ipvlan["left"] == []


def test_an_instance_in_a_vrf_is_heard_and_hears(found: dict[str, Any]) -> None:
    vrf = found["vrf"]
    assert vrf["one master"]
    assert vrf["answers"]
    assert vrf["routes"] == ["10.77.0.0/16"]
    assert vrf["status"] == 0
    assert vrf["routes left"] == []
