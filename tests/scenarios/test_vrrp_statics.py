"""Static objects: held whoever is master (features 9)."""

from __future__ import annotations

import dataclasses

from keepbus_vrrp import events
from keepbus_vrrp.effects import STATICS, Install, Remove
from vrrp_held import ROUTE, RULE, asked, route_gone, rule_gone
from vrrp_router import Router, address, config, link

from keepbus.config.model.vrrp import Statics, VirtualAddress, VrrpSection
from keepbus.contracts.common import Status
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Report
from keepbus.testing.playbook import Scene

STATIC = Statics(
    addresses=(VirtualAddress(address="198.51.100.1", prefix=32, interface="eth0"),),
    routes=(ROUTE,),
    rules=(RULE,),
)


def with_statics(statics: Statics) -> Router:
    router = Router()
    router.reload_section(0.5, VrrpSection(instances=(config(),), statics=statics))
    return router


def installed(scene: Scene) -> list[str]:
    return [
        ".".join(map(str, each.address))
        for effect in scene
        if isinstance(effect, Install) and effect.instance == STATICS
        for each in effect.addresses
    ]


def test_static_objects_are_there_whoever_is_master() -> None:
    """Features 9."""
    router = Router()
    scene = router.reload_section(0.5, VrrpSection(instances=(config(),), statics=STATIC))
    assert installed(scene) == ["198.51.100.1"]
    assert asked(scene, STATICS) == [f"+{ROUTE.name}", f"+{RULE.name}"]
    assert router.state is VrrpState.BACKUP
    less = dataclasses.replace(STATIC, addresses=(), rules=())
    scene = router.reload_section(1, VrrpSection(instances=(config(),), statics=less))
    assert asked(scene, STATICS) == [f"-{RULE.name}"]
    assert [effect.instance for effect in scene if isinstance(effect, Remove)] == [STATICS]
    assert asked(router.stop(1.5), STATICS) == [f"-{ROUTE.name}"]


def test_without_an_instance_too() -> None:
    router = Router()
    scene = router.reload_section(0.5, VrrpSection(statics=STATIC))
    assert asked(scene, STATICS) == [f"+{ROUTE.name}", f"+{RULE.name}"]


def test_static_objects_are_put_back() -> None:
    """Features 9: removed by somebody, or gone with the interface."""
    router = with_statics(STATIC)
    assert asked(router.at(1, route_gone(ROUTE))) == [f"+{ROUTE.name}"]
    assert asked(router.at(1, rule_gone(RULE))) == [f"+{RULE.name}"]
    assert installed(router.at(1, address("198.51.100.1", gone=True))) == ["198.51.100.1"]
    router.at(2, link(up=False))
    scene = router.at(3, link())
    assert installed(scene) == ["198.51.100.1"]
    assert asked(scene, STATICS) == [f"+{ROUTE.name}", f"+{RULE.name}"]


def test_static_objects_with_no_track_are_not() -> None:
    untracked = Statics(
        addresses=(dataclasses.replace(STATIC.addresses[0], no_track=True),),
        routes=(dataclasses.replace(ROUTE, no_track=True),),
    )
    router = with_statics(untracked)
    scene = router.at(1, route_gone(ROUTE), address("198.51.100.1", gone=True))
    assert asked(scene) == []
    assert installed(scene) == []


def test_track_group_ties_an_instance_to_the_interface() -> None:
    """Features 9."""
    router = Router(static_interfaces=("eth7",))
    assert router.instance.faults == ("interface eth7 does not exist",)


def reports(scene: Scene) -> list[tuple[Status, str]]:
    return [(effect.status, effect.detail) for effect in scene if isinstance(effect, Report)]


def test_refused_static_objects_are_in_the_heartbeat() -> None:
    router = with_statics(STATIC)
    (told,) = reports(router.at(1, events.Refused(STATICS, ROUTE.name, "Invalid argument")))
    assert told == (
        Status.DEGRADED,
        "1 instance: 0 MASTER, 1 BACKUP, 0 FAULT; 3 static objects; "
        f"the kernel refuses static {ROUTE.name}: Invalid argument",
    )
    failed = events.InstallFailed(STATICS, bytes((198, 51, 100, 1)), "File exists")
    ((_, detail),) = reports(router.at(1, failed))
    assert detail.endswith("static 198.51.100.1: File exists and 1 more")
    assert reports(router.at(1, failed)) == []
    scene = router.reload_section(
        1.5, VrrpSection(statics=dataclasses.replace(STATIC, routes=(), addresses=()))
    )
    assert reports(scene)[-1] == (Status.IDLE, "no vrrp_instance is configured; 1 static object")
