"""How long adverts may lie unread: by state, interval and priority (conformance B3, M5, M7)."""

from __future__ import annotations

import pytest
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.patience import patience_ns
from keepbus_vrrp.turn import Turn

from keepbus.config.model.vrrp import VrrpInstance
from keepbus.contracts.vrrp import VrrpState

MS = 1_000_000


def instance(state: VrrpState, priority: int = 100, interval_us: int = 100_000) -> Instance:
    config = VrrpInstance(
        name="VI_1",
        interface="eth0",
        virtual_router_id=51,
        version=3,
        priority=priority,
        advert_interval_us=interval_us,
    )
    made = Instance(config, Turn(), lease=True, life="l")
    made.state = state
    return made


@pytest.mark.parametrize(
    ("state", "priority", "interval_us", "patience_ms"),
    [
        (VrrpState.MASTER, 100, 100_000, 10),  # a tenth of the interval
        (VrrpState.MASTER, 100, 10_000, 1),
        (VrrpState.BACKUP, 128, 100_000, 50),  # skew 128/256 of 100 ms
        (VrrpState.BACKUP, 192, 100_000, 25),  # skew 64/256 of 100 ms
        (VrrpState.BACKUP, 254, 100_000, 10),  # skew 2/256: a tenth
        (VrrpState.BACKUP, 100, 1_000_000, 100),  # never more
        (VrrpState.MASTER, 100, 2_000_000, 100),
        (VrrpState.FAULT, 100, 10_000, 100),  # hears nothing
    ],
)
def test_patience_by_state(state: VrrpState, priority: int, interval_us: int, patience_ms: int) -> None:
    assert patience_ns([instance(state, priority, interval_us)]) == patience_ms * MS


def test_the_least_patient_decides() -> None:
    calm, master = instance(VrrpState.BACKUP), instance(VrrpState.MASTER)
    assert patience_ns([calm, master, calm]) == 10 * MS
    assert patience_ns([]) == 100 * MS


def test_a_faster_master_is_followed() -> None:
    """L1: the backup's timer goes by the master's interval."""
    backup = instance(VrrpState.BACKUP, priority=128, interval_us=1_000_000)
    backup.master_interval_us = 40_000
    assert patience_ns([backup]) == 20 * MS
