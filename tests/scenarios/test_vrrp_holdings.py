"""Routes and rules of a master, and what others do to them and to addresses (features 5.3, 6.3)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from keepbus_vrrp import events, route_codec, rule_codec
from keepbus_vrrp.effects import Advertise, Announce, Ask, Install, Remove, Sysctls, WatchRoutes
from vrrp_held import LOOSE, ROUTE, RULE, asked, route_gone, rule_gone
from vrrp_router import INDEX, VIP, Router, address, advert, config, kernel, link, priorities

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import AddressChanged, HoldingChanged, VrrpState
from keepbus.runtime.machine import Log, Publish
from keepbus.testing.playbook import Scene, ns

GONE_S = 10.0


def told(scene: Scene) -> list[tuple[str, str]]:
    """Holding and action of each event."""
    return [
        (effect.body.holding, effect.body.action)
        for effect in scene
        if isinstance(effect, Publish) and isinstance(effect.body, HoldingChanged)
    ]


def master(**fields: Any) -> Router:
    router = Router(**{"virtual_routes": (ROUTE, LOOSE), "virtual_rules": (RULE,), **fields})
    router.become_master()
    return router


def test_advert_addresses_routes_rules_then_announcements() -> None:
    """Features 5.3, becoming master."""
    router = master()
    order = [
        type(effect).__name__
        for effect in router.scene
        if isinstance(effect, Advertise | Install | Ask | Announce)
    ]
    assert order == ["Advertise", "Ask"]
    assert asked(router.scene) == [f"+{ROUTE.name}", f"+{LOOSE.name}", f"+{RULE.name}"]


def test_rules_routes_then_addresses_go() -> None:
    """Features 5.3, leaving master."""
    router = master()
    scene = router.stop(GONE_S)
    order = [effect for effect in scene if isinstance(effect, Advertise | Ask | Remove)][-3:]
    assert [type(effect) for effect in order] == [Advertise, Ask, Remove]
    assert asked(scene) == [f"-{RULE.name}", f"-{LOOSE.name}", f"-{ROUTE.name}"]


def test_nothing_is_touched_while_backup() -> None:
    router = Router(virtual_routes=(ROUTE,), virtual_rules=(RULE,))
    # E7: what an earlier run left goes at the start.
    assert asked(router.scene) == [f"-{RULE.name}", f"-{ROUTE.name}"]
    assert asked(router.stop(0.5)) == []


def test_the_kernel_is_watched_only_when_there_is_something() -> None:
    assert Router().scene.of(WatchRoutes) == []
    router = Router(virtual_routes=(ROUTE,))
    assert router.scene.of(WatchRoutes) == [WatchRoutes(True)]
    assert router.reload(1, config()).of(WatchRoutes) == [WatchRoutes(False)]


@pytest.mark.parametrize("event", [route_gone(ROUTE), rule_gone(RULE)], ids=["route", "rule"])
def test_removed_by_another_program(event: Any) -> None:
    """Features 5.3: one priority 0 advert, everything off, MASTER again after the skew time."""
    router = master()
    scene = router.at(GONE_S, event)
    assert router.state is VrrpState.BACKUP
    assert priorities(scene)[-1] == 0
    assert asked(scene) == [f"-{RULE.name}", f"-{LOOSE.name}", f"-{ROUTE.name}"]
    assert "another program removed" in router.instance.cause
    skew_s = 156 / 256
    assert (router.instance.timer.due_at_ns - ns(GONE_S)) / 1e9 == pytest.approx(skew_s, abs=1e-6)
    router.at(GONE_S + skew_s + 0.001)
    assert router.state is VrrpState.MASTER


def test_without_an_interface_it_is_put_back_in_place() -> None:
    """keepalived does not track a route without `dev`; here it comes back, and mastership stays."""
    router = master()
    scene = router.at(GONE_S, route_gone(LOOSE))
    assert router.state is VrrpState.MASTER
    assert asked(scene) == [f"+{LOOSE.name}"]
    assert told(scene) == [(LOOSE.name, "restored")]


def test_no_track_is_left_alone() -> None:
    untracked = dataclasses.replace(ROUTE, no_track=True)
    router = master(virtual_routes=(untracked,))
    assert asked(router.at(GONE_S, route_gone(untracked))) == []
    assert router.state is VrrpState.MASTER


def test_of_somebody_else_does_not_concern_us() -> None:
    router = master()
    other = dataclasses.replace(ROUTE, table=99)
    scene = router.at(GONE_S, route_gone(other), rule_gone(dataclasses.replace(RULE, preference=101)))
    assert asked(scene) == []
    assert router.state is VrrpState.MASTER


def test_replaced_by_another_protocol_is_lost() -> None:
    router = master()
    replaced = route_codec.RouteMessage(route_codec.key(ROUTE), 4, False)
    router.at(GONE_S, events.RouteChanged(replaced))
    assert router.state is VrrpState.BACKUP


def test_refused_is_told_once_and_never_taken_for_lost() -> None:
    router = master()
    key = router.instance.key
    scene = router.at(GONE_S, events.Refused(key, ROUTE.name, "Invalid argument"))
    assert told(scene) == [(ROUTE.name, "failed")]
    assert told(router.at(GONE_S, events.Refused(key, ROUTE.name, "Invalid argument"))) == []
    assert router.instance.held.refused == {ROUTE.name: "Invalid argument"}
    router.at(GONE_S, route_gone(ROUTE))
    assert router.state is VrrpState.MASTER


def test_a_dump_shows_what_was_missed() -> None:
    """R-F45: messages of the kernel were lost."""
    router = master()
    routes = frozenset({route_codec.key(ROUTE), route_codec.key(LOOSE)})
    rules = frozenset({rule_codec.identity(RULE)})
    router.at(GONE_S, events.RoutesRead(routes, rules))
    assert router.state is VrrpState.MASTER
    router.at(GONE_S, events.RoutesRead(routes, frozenset()))
    assert router.state is VrrpState.BACKUP


def test_reload_asks_for_the_difference_only() -> None:
    """Features 15."""
    router = master()
    changed = dataclasses.replace(ROUTE, gateway="192.0.2.10")
    new = dataclasses.replace(RULE, preference=90)
    fresh = config(virtual_routes=(changed, LOOSE), virtual_rules=(RULE, new))
    scene = router.reload(GONE_S, fresh)
    # The changed route replaces the old one in place.
    assert asked(scene) == [f"+{changed.name}", f"+{new.name}"]
    scene = router.reload(GONE_S + 1, config(virtual_rules=(RULE,)))
    assert asked(scene) == [f"-{new.name}", f"-{LOOSE.name}", f"-{changed.name}"]


def test_a_missing_interface_is_a_fault_and_no_track_leaves_it_out() -> None:
    elsewhere = dataclasses.replace(ROUTE, interface="eth7")
    router = Router(virtual_routes=(elsewhere,))
    assert router.instance.faults == ("interface eth7 does not exist",)
    router = Router(virtual_routes=(dataclasses.replace(elsewhere, no_track=True),))
    router.become_master()
    assert router.instance.held.refused == {elsewhere.name: "interface eth7 does not exist"}
    # It appears: the route is there without anybody's doing.
    scene = router.at(GONE_S, link(index=9, name="eth7"))
    assert asked(scene) == [f"+{elsewhere.name}"]
    assert router.instance.held.refused == {}


def test_an_interface_that_goes_down_is_no_theft() -> None:
    """The kernel tells of the routes first; the cause is the interface."""
    router = master()
    router.at(GONE_S, route_gone(ROUTE), link(up=False))
    assert router.state is VrrpState.FAULT
    assert router.instance.cause == "interface eth0 is down"
    assert router.instance.transitions == 3


def test_routes_come_back_with_the_interface() -> None:
    """Chapter 6.3: the kernel removes them without a word."""
    untracked = dataclasses.replace(ROUTE, interface="eth1", no_track=True)
    router = master(virtual_routes=(untracked,), virtual_rules=())
    router.at(5, link(index=3, name="eth1"))
    router.at(GONE_S, link(index=3, name="eth1", up=False))
    assert router.state is VrrpState.MASTER
    assert asked(router.at(GONE_S + 1, link(index=3, name="eth1"))) == [f"+{untracked.name}"]


def test_a_renamed_interface_keeps_nothing_of_ours() -> None:
    """R-F53: the kernel knows the interface by its number, whatever its name."""
    router = master(virtual_rules=())
    scene = router.at(GONE_S, link(name="eth9"))
    assert router.state is VrrpState.FAULT
    assert router.instance.cause == "interface eth0 does not exist"
    assert asked(scene) == [f"-{LOOSE.name}", f"-{ROUTE.name}"]
    (removed,) = scene.of(Remove)
    assert isinstance(removed, Remove)
    assert [each.interface_index for each in removed.addresses] == [INDEX]
    router.at(GONE_S + 1, link(name="eth0"))
    assert router.state is VrrpState.BACKUP


def test_address_that_appears_on_a_backup_is_removed() -> None:
    """R-F48, second half: in BACKUP and in FAULT, with the prefix length that it came with."""
    router = Router()
    scene = router.at(1, address(VIP))
    (removed,) = scene.of(Remove)
    assert isinstance(removed, Remove)
    assert [(each.address, each.prefix) for each in removed.addresses] == [(bytes((192, 0, 2, 1)), 24)]
    assert address_told(scene) == [("192.0.2.1", "removed", "another program added it while BACKUP")]
    router.at(1.5, link(up=False))
    assert len(router.at(2, address(VIP)).of(Remove)) == 1


def test_address_that_appears_is_left_alone() -> None:
    """Another one, on another interface, of a master, or with no_track."""
    router = Router()
    scene = router.at(1, address("192.0.2.77"), address(VIP, index=9))
    assert scene.of(Remove) == []
    untracked = VirtualAddress(address=VIP, prefix=24, interface="eth0", no_track=True)
    assert Router(virtual_addresses=(untracked,)).at(1, address(VIP)).of(Remove) == []
    router.become_master()
    assert router.at(GONE_S, address(VIP)).of(Remove) == []


def test_five_fights_in_a_minute_are_an_alarm() -> None:
    """R-F48: counted, and told in the state until a minute has passed without another one."""
    router = Router(priority=50)
    for number in range(4):
        router.at(1 + number / 10, address(VIP))
    assert router.instance.held.fights.contested == ()
    scene = router.at(1.5, address(VIP))
    assert router.instance.held.fights.contested == (VIP,)
    assert router.instance.held.fights.total == 5
    assert any(isinstance(each, Log) and "again and again" in each.text for each in scene)
    router.at(2, advert(200, at=2))
    for second in range(3, 63):
        router.at(second, advert(200, at=second))
    assert router.instance.held.fights.contested == ()
    # Five times, but not within a minute.
    for number in range(5):
        seconds = 70 + 20 * number
        for second in range(seconds, seconds + 20):
            router.at(second, advert(200, at=second))
        router.at(seconds + 19.5, address(VIP))
    assert router.instance.held.fights.contested == ()


def test_fights_for_a_route_are_counted_too() -> None:
    router = master()
    for number in range(5):
        router.at(GONE_S + number, route_gone(LOOSE))
    assert router.instance.held.fights.contested == (LOOSE.name,)


def test_a_dump_shows_what_was_added() -> None:
    router = Router()
    scene = router.at(1, kernel("192.0.2.253", VIP))
    assert len(scene.of(Remove)) == 1


def address_told(scene: Scene) -> list[tuple[str, str, str]]:
    return [
        (effect.body.address, effect.body.action, effect.body.detail)
        for effect in scene
        if isinstance(effect, Publish) and isinstance(effect.body, AddressChanged)
    ]


def test_promote_secondaries() -> None:
    """Features 6.1: from start to stop, and anew for an interface that was made again."""
    wanted = Sysctls((("net/ipv4/conf/eth0/promote_secondaries", "1"),))
    router = Router(promote_secondaries=True)
    assert router.scene.of(Sysctls) == [wanted]
    router.at(1, link(up=False))
    assert router.at(2, link()).of(Sysctls) == [wanted]
    assert router.reload(3, config(promote_secondaries=True, priority=99)).of(Sysctls) == []
    assert router.stop(4).of(Sysctls) == [Sysctls(())]
    assert Router().stop(1).of(Sysctls) == []


def test_excluded_addresses_are_announced_like_the_others() -> None:
    """G10: one frame for each in every round, those of the adverts first."""
    excluded = VirtualAddress(address="192.0.2.2", prefix=24, interface="eth0")
    router = Router(virtual_addresses_excluded=(excluded,))
    seconds = (router.instance.timer.due_at_ns - ns(0)) / 1e9
    router.at(seconds)
    scene = router.at(seconds, router.confirmed())
    frames = [frame for effect in scene if isinstance(effect, Announce) for _, frame in effect.frames]
    targets = [frame[38:42] for frame in frames]
    assert targets == [bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))] * 5
