"""R-F57: another host says that it has one of the virtual addresses: it is told, and the address kept."""

from __future__ import annotations

import pytest
from keepbus_vrrp import ipv4
from keepbus_vrrp.effects import WatchClaims
from keepbus_vrrp.events import Claimed
from test_vrrp_tracking import states
from vrrp_router import INDEX, MAC, VIP, Router, advert, config, link, on_wire

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import AddressChanged, VrrpState
from keepbus.runtime.machine import Log, Publish
from keepbus.testing.playbook import Scene, ns

STRANGER = bytes.fromhex("02000000aa01")


def claim(address: str = VIP, *, mac: bytes = STRANGER, index: int = INDEX) -> Claimed:
    return Claimed(index, ipv4.pack(address), mac)


def told(scene: Scene) -> list[str]:
    bodies = [effect.body for effect in scene if isinstance(effect, Publish)]
    claims = [body for body in bodies if isinstance(body, AddressChanged) and body.action == "claimed"]
    alarms = [effect for effect in scene if isinstance(effect, Log) and "is claimed by" in effect.text]
    assert len(alarms) == len(claims)
    return [f"{body.address}: {body.detail}" for body in claims]


def test_r_f57_a_master_tells_who_it_is_and_keeps_the_address() -> None:
    router = Router()
    start = router.become_master()
    scene = router.at(start + 2.5, claim())
    assert told(scene) == ["192.0.2.1: 02:00:00:00:aa:01 on eth0 says that it has it, too"]
    assert router.state is VrrpState.MASTER
    assert "remove" not in on_wire(scene)


def test_r_f57_the_same_host_is_told_once_a_minute() -> None:
    router = Router()
    start = router.become_master()
    count = sum(len(told(router.at(start + 2 + second, claim()))) for second in range(130))
    assert count == 3
    assert len(told(router.at(start + 133, claim(mac=b"\x02\0\0\0\xaa\x02")))) == 1


def test_r_f57_the_state_tells_who_since_when_and_how_often() -> None:
    router = Router()
    start = router.become_master()
    (first,) = states(router.at(start + 2, claim()))[-1].claims
    assert (first.address, first.mac, first.interface) == (VIP, "02:00:00:00:aa:01", "eth0")
    assert (first.since_ns, first.last_ns, first.times) == (ns(start + 2), ns(start + 2), 1)
    for second in range(3, 70):
        scene = router.at(start + second, claim())
        if second < 62:
            assert not states(scene), "what comes again and again is not told each time"
    (later,) = router.instance.claims.values()
    assert (later.body().since_ns, later.body().times) == (ns(start + 2), 68)
    # Ten minutes after the last one it is over; so it is with the mastership.
    assert states(router.at(start + 660)) == []
    assert states(router.at(start + 670))[-1].claims == ()
    router.at(start + 700, claim())
    assert router.instance.claims
    assert states(router.at(start + 701, advert(200, at=start + 701)))[-1].claims == ()


def test_what_another_master_claimed_ends_with_its_mastership() -> None:
    """R-F61: after a cut that has healed nothing is wrong; a host that is no router goes on to be told of."""
    router = Router()
    start = router.become_master()
    router.at(start + 2, claim(mac=b"\x02\0\0\0\xaa\x09"))
    router.at(start + 3, advert(50, at=start + 3))
    router.at(start + 3.1, claim())
    assert len(router.instance.claims) == 2
    router.at(start + 8)
    assert [seen.mac for seen in router.instance.claims.values()] == [b"\x02\0\0\0\xaa\x09"]


@pytest.mark.parametrize("moment", [0.5, 2.0])
def test_a_backup_says_nothing_of_the_master(moment: float) -> None:
    assert told(Router().at(moment, claim())) == []


def test_what_an_old_master_said_last_is_no_claim() -> None:
    router = Router()
    start = router.become_master()
    assert told(router.at(start + 0.01, claim())) == []


def test_r_f56_own_frames_that_come_back_are_no_claim() -> None:
    router = Router()
    start = router.become_master()
    assert told(router.at(start + 2, claim(mac=MAC))) == []


def test_other_addresses_and_other_wires_are_not_concerned() -> None:
    router = Router()
    start = router.become_master()
    router.at(start + 1.5, link(index=9, name="eth9"))
    assert told(router.at(start + 2, claim("192.0.2.77"))) == []
    assert told(router.at(start + 2, claim(index=9))) == []
    assert told(router.at(start + 2, claim(index=99))) == []


def test_a_forger_with_many_macs_does_not_fill_the_log() -> None:
    router = Router()
    start = router.become_master()
    claims = [claim(mac=b"\x02\0\0\0" + number.to_bytes(2, "big")) for number in range(500)]
    scene = router.at(start + 2, *claims)
    scene.extend(router.at(start + 2.5))
    assert len(told(scene)) == 64
    assert len(told(router.at(start + 63, claim()))) == 1, "and after a minute there is room again"


def test_what_is_watched_follows_the_configuration() -> None:
    def watched(scene: Scene) -> list[tuple[bytes, ...]]:
        return [effect.addresses for effect in scene if isinstance(effect, WatchClaims)]

    router = Router()
    assert watched(router.scene) == [(ipv4.pack(VIP),)]
    two = tuple(VirtualAddress(address=text, prefix=24, interface="eth0") for text in (VIP, "192.0.2.2"))
    assert watched(router.reload(1, config(virtual_addresses=two))) == [
        (ipv4.pack(VIP), ipv4.pack("192.0.2.2"))
    ]
    assert watched(router.reload(2, config(virtual_addresses=two, priority=77))) == []
