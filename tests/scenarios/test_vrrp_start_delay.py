"""`vrrp_startup_delay` and `vrrp_delay_after_boot` (conformance E6)."""

from __future__ import annotations

import pytest
from keepbus_vrrp import publication, record
from keepbus_vrrp.effects import Advertise, Remove
from vrrp_router import LOCAL, VIP, Router, advert, config, on_wire

from keepbus.config.model.vrrp import InitialState
from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.playbook import ns

# The playbook's second 0 is so long after the boot.
BOOTED_S = ns(0) // 1_000_000_000


@pytest.mark.parametrize(
    "section",
    [
        {"startup_delay_us": 5_000_000},
        {"delay_after_boot_us": (BOOTED_S + 5) * 1_000_000},
        {"startup_delay_us": 5_000_000, "delay_after_boot_us": (BOOTED_S + 2) * 1_000_000},
    ],
)
def test_e6_a_start_delay_holds_everything(section: dict[str, int]) -> None:
    router = Router(priority=255, state=InitialState.MASTER, section=section)
    assert router.state is VrrpState.INIT
    assert on_wire(router.scene) == []
    router.at(1, advert(100, at=1))
    assert on_wire(router.at(4.9)) == []
    assert router.instance.counters.dropped == {"not_running": 1}
    assert on_wire(router.at(5))[0] == "advert"
    assert router.state is VrrpState.MASTER


def test_e6_timers_begin_at_the_end_of_the_delay() -> None:
    router = Router(section={"startup_delay_us": 5_000_000})
    assert router.at(8.6).of(Advertise) == []
    assert len(router.at(8.609375).of(Advertise)) == 1


def test_e6_after_the_boot_there_is_nothing_to_wait_for() -> None:
    assert Router(section={"delay_after_boot_us": BOOTED_S * 1_000_000}).state is VrrpState.BACKUP


def test_e6_an_instance_of_a_later_reload_does_not_wait() -> None:
    router = Router(section={"startup_delay_us": 5_000_000})
    router.at(6)
    router.reload(7, config(), config(name="VI_2", virtual_router_id=52, virtual_addresses=()))
    assert {each.state for each in router.machine.instances.values()} == {VrrpState.BACKUP}


def test_e6_stop_within_the_delay() -> None:
    router = Router(section={"startup_delay_us": 5_000_000})
    assert router.stop(1).of(Advertise) == []
    assert router.state is VrrpState.STOP


def test_e7_left_over_addresses_do_not_wait() -> None:
    router = Router(addresses=(LOCAL, VIP), section={"startup_delay_us": 5_000_000})
    assert len(router.scene.of(Remove)) == 1


def test_e6_r_l5_a_crash_is_not_a_start() -> None:
    before = Router()
    before.become_master()
    memory = (record.dump(publication.record_of(before.instance)), ns(-0.5), ns(1.5), (0,) * 6)
    after = Router(addresses=(LOCAL, VIP), memories=(memory,), section={"startup_delay_us": 5_000_000})
    assert after.state is VrrpState.MASTER
