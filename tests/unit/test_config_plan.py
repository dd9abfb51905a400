"""What a reload would do: two configurations compared."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import pytest

from keepbus.config.difference import NOT_SHOWN
from keepbus.config.model.checker import Check, CheckerSection, CheckKind, StatusRange, Url
from keepbus.config.model.configuration import Configuration, GlobalDefs
from keepbus.config.model.ipvs import (
    CheckUse,
    Forwarding,
    IpvsSection,
    RealServer,
    SorryServer,
    VirtualServer,
)
from keepbus.config.model.notify import NotifySection, NotifyTarget
from keepbus.config.model.routes import Route, Rule
from keepbus.config.model.scripts import Script
from keepbus.config.model.vrrp import (
    AddressFamily,
    Authentication,
    AuthType,
    InitialState,
    Statics,
    VirtualAddress,
    VrrpInstance,
    VrrpSection,
)
from keepbus.config.plan import Action, Item, Kind, Plan, _rest, compare

ADDRESS = VirtualAddress(address="192.0.2.1", prefix=24, interface="eth0")
SECOND = VirtualAddress(address="192.0.2.2", prefix=24, interface="eth0")
INSTANCE = VrrpInstance(
    name="VI_1",
    interface="eth0",
    virtual_router_id=51,
    authentication=Authentication(auth_type=AuthType.PASS, auth_pass="sesame"),
    virtual_addresses=(ADDRESS,),
)
URL = Url(path="/", status_codes=(StatusRange(low=200, high=299),))
CHECK = Check(id="HTTP_GET:10.0.0.1:80#1", kind=CheckKind.HTTP_GET, address="10.0.0.1", port=80, urls=(URL,))
REAL = RealServer(address="10.0.0.1", port=80, checks=(CheckUse(check=CHECK.id),))
SERVER = VirtualServer(
    address="192.0.2.1",
    port=80,
    real_servers=(REAL,),
    sorry_server=SorryServer(address="127.0.0.1", port=80, forwarding=Forwarding.NAT),
)
TARGET = NotifyTarget(name="VI_1", notify_master=Script(argv=("/bin/true", "a b"), user="nobody"))
BEFORE = Configuration(
    global_defs=GlobalDefs(router_id="one"),
    vrrp=VrrpSection(instances=(INSTANCE,)),
    checker=CheckerSection(checks=(CHECK,)),
    ipvs=IpvsSection(virtual_servers=(SERVER,)),
    notify=NotifySection(targets=(TARGET,)),
)


def change(thing: Any, **fields: Any) -> Any:
    return dataclasses.replace(thing, **fields)


def instances(*wanted: VrrpInstance, before: tuple[VrrpInstance, ...] = (INSTANCE,)) -> Plan:
    return compare(
        Configuration(vrrp=VrrpSection(instances=before)), Configuration(vrrp=VrrpSection(instances=wanted))
    )


def servers(*wanted: VirtualServer, before: tuple[VirtualServer, ...] = (SERVER,)) -> Plan:
    return compare(
        Configuration(ipvs=IpvsSection(virtual_servers=before)),
        Configuration(ipvs=IpvsSection(virtual_servers=wanted)),
    )


def checks(*wanted: Check) -> Plan:
    return compare(
        Configuration(checker=CheckerSection(checks=(CHECK,))),
        Configuration(checker=CheckerSection(checks=wanted)),
    )


def only(plan: Plan) -> Item:
    (item,) = plan.items
    return item


def told(item: Item) -> list[str]:
    return [f"{each.name} {each.before} → {each.after}" for each in item.changes]


def other(value: Any, kind: str) -> Any:
    """Another value for a field, None when this test has none."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, enum.Enum):
        return next((each for each in type(value) if each is not value), None)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return "192.0.2.77"
    if isinstance(value, tuple) and value:
        return ()
    if kind.startswith("Script"):
        return Script(argv=("/bin/false",)) if value != Script(argv=("/bin/false",)) else None
    if value is not None and kind.endswith("| None"):
        return None
    return ("x",) if kind == "tuple[str, ...]" else None


def variants(value: Any) -> list[Any]:
    """The dataclass with each of its fields, and theirs, changed in turn."""
    found = []
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            found += [change(value, **{field.name: each}) for each in variants(inner)]
        elif isinstance(inner, tuple) and inner and dataclasses.is_dataclass(inner[0]):
            found += [change(value, **{field.name: (each, *inner[1:])}) for each in variants(inner[0])]
        another = other(inner, str(field.type))
        if another is not None or (inner is not None and str(field.type).endswith("| None")):
            found.append(change(value, **{field.name: another}))
    return found


COPIES = ("script_user", "enable_script_security", "address_lease", "drain_s")
"""Sections hold these as global_defs says them, and the last one as the reload does."""


@dataclasses.dataclass(frozen=True)
class Named:
    """A thing of a section that no plan knows by name."""

    name: str
    interval_us: int = 1_000_000


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of tomorrow."""

    things: tuple[Named, ...] = ()
    words: tuple[str, ...] = ()
    timeout_s: int = 3
    told_elsewhere: int = 0


def test_what_a_section_will_hold_tomorrow_is_told_too() -> None:
    before = Section(things=(Named("a"), Named("b")), words=("x",))
    after = Section(
        things=(Named("c"), Named("b", 2_000_000)), words=("x", "y"), timeout_s=4, told_elsewhere=1
    )
    items = list(_rest("vrrp", before, after, {"told_elsewhere"}))
    assert [(item.action, item.name, told(item)) for item in items] == [
        (Action.REMOVED, "a", []),
        (Action.ADDED, "c", []),
        (Action.CHANGED, "b", ["interval 1 s → 2 s"]),
        (Action.CHANGED, "vrrp", ["words x → x, y", "timeout 3 s → 4 s"]),
    ]
    assert not list(_rest("vrrp", before, before, ()))


def test_nothing_changes() -> None:
    assert compare(BEFORE, BEFORE).items == ()
    assert compare(Configuration(), Configuration()).items == ()


def test_no_change_of_any_field_goes_unseen() -> None:
    seen = 0
    for section in ("global_defs", "vrrp", "checker", "ipvs", "notify"):
        inner = getattr(BEFORE, section)
        for variant in variants(inner):
            if section != "global_defs" and any(
                getattr(variant, name, None) != getattr(inner, name, None) for name in COPIES
            ):
                continue
            after = change(BEFORE, **{section: variant})
            for plan in (compare(BEFORE, after), compare(after, BEFORE)):
                assert plan.items, variant
                assert "sesame" not in repr(plan)
            seen += 1
    assert seen > 90


def test_order_in_the_file_is_no_difference_but_for_addresses() -> None:
    second = change(INSTANCE, name="VI_2", virtual_router_id=52)
    assert not instances(INSTANCE, second, before=(second, INSTANCE)).items
    both = change(INSTANCE, virtual_addresses=(ADDRESS, SECOND))
    turned = change(INSTANCE, virtual_addresses=(SECOND, ADDRESS))
    item = only(instances(turned, before=(both,)))
    assert told(item) == ["order of addresses 192.0.2.1, 192.0.2.2 → 192.0.2.2, 192.0.2.1"]


def test_an_instance_is_matched_by_virtual_router_not_by_name() -> None:
    item = only(instances(change(INSTANCE, name="VI_9")))
    assert (item.action, item.name) == (Action.CHANGED, "VI_9")
    assert told(item) == ["name VI_1 → VI_9"]
    assert item.consequences == ()


@pytest.mark.parametrize("fields", [{"interface": "eth1"}, {"virtual_router_id": 52}])
def test_another_virtual_router_under_the_same_name(fields: dict[str, Any]) -> None:
    gone, new = instances(change(INSTANCE, **fields)).items
    assert (gone.action, gone.name) == (Action.REMOVED, "VI_1")
    assert (new.action, new.name) == (Action.ADDED, "VI_1")
    assert "sends priority 0" in gone.consequences[0]
    assert "the VI_1 of now ends" in new.consequences[0]
    # 3 × 1 s and a skew of 156/256 s (RFC 3768 6.1)
    assert "begins as BACKUP" in new.consequences[1]
    assert "within 3.61 s" in new.consequences[1]


def test_another_family_is_another_virtual_router() -> None:
    six = change(INSTANCE, family=AddressFamily.IPV6, virtual_addresses=(change(ADDRESS, address="fe80::1"),))
    assert [item.action for item in instances(six).items] == [Action.REMOVED, Action.ADDED]


def test_the_owner_becomes_master_at_once() -> None:
    item = only(instances(change(INSTANCE, priority=255), before=()))
    assert item.consequences == ("becomes MASTER at once: priority 255 owns the addresses",)


def test_priority() -> None:
    lower = only(instances(change(INSTANCE, priority=90)))
    assert told(lower) == ["priority 100 → 90"]
    assert any("a peer with a priority above 90 takes over" in each for each in lower.consequences)
    higher = only(instances(change(INSTANCE, priority=110)))
    assert any("takes over from a master with a priority below 110" in each for each in higher.consequences)
    polite = only(instances(change(INSTANCE, priority=110, nopreempt=True)))
    assert not any("takes over" in each for each in polite.consequences)


def test_words_and_units_are_those_of_the_file() -> None:
    new = change(
        INSTANCE,
        advert_interval_us=2_500_000,
        nopreempt=True,
        state=InitialState.MASTER,
        garp=change(INSTANCE.garp, master_delay_us=0),
    )
    assert told(only(instances(new))) == [
        "state BACKUP → MASTER",
        "advert_int 1 s → 2.5 s",
        "nopreempt no → yes",
        "garp_master_delay 5 s → 0 s",
    ]
    wrr = only(servers(change(SERVER, scheduler="wrr", persistence_timeout_s=50, sorry_server=None)))
    assert told(wrr) == [
        "lb_algo wlc → wrr",
        "persistence_timeout 0 s → 50 s",
        "sorry_server 127.0.0.1:80 NAT → none",
    ]


def test_a_password_is_never_shown() -> None:
    other_password = change(INSTANCE, authentication=change(INSTANCE.authentication, auth_pass="geheim"))
    none = change(INSTANCE, authentication=None)
    for new, changes in (
        (other_password, [f"auth_pass {NOT_SHOWN} → {NOT_SHOWN}"]),
        (none, [f"authentication PASS auth_pass {NOT_SHOWN} → none"]),
    ):
        plan = instances(new)
        assert told(only(plan)) == changes
        assert "sesame" not in repr(plan)
        assert "geheim" not in repr(plan)
        assert any("two can be MASTER" in each for each in only(plan).consequences)


def test_what_peers_do_not_check_makes_no_second_master() -> None:
    fast = change(INSTANCE, version=3, authentication=None)
    item = only(instances(change(fast, advert_interval_us=100_000), before=(fast,)))
    assert not any("two can be MASTER" in each for each in item.consequences)
    item = only(instances(change(INSTANCE, virtual_addresses=(ADDRESS, SECOND))))
    assert not any("two can be MASTER" in each for each in item.consequences)


def test_addresses_come_go_and_change() -> None:
    relabelled = change(ADDRESS, label="eth0:1")
    third = change(ADDRESS, address="192.0.2.3")
    before = change(INSTANCE, virtual_addresses=(ADDRESS, SECOND))
    after = change(INSTANCE, virtual_addresses=(relabelled,), virtual_addresses_excluded=(third,))
    item = only(instances(after, before=(before,)))
    assert [(part.action, part.name, part.detail) for part in item.parts] == [
        (Action.REMOVED, "192.0.2.2/24", "dev eth0"),
        (Action.CHANGED, "192.0.2.1/24", "dev eth0"),
        (Action.ADDED, "192.0.2.3/24", "dev eth0, excluded from adverts"),
    ]
    assert told(item.parts[1]) == ["label none → eth0:1"]
    plan = instances(change(INSTANCE, virtual_addresses=(), virtual_addresses_excluded=(ADDRESS,)))
    assert told(only(plan).parts[0]) == ["block virtual_ipaddress → virtual_ipaddress_excluded"]
    assert plan.count(Kind.ADDRESS, Action.CHANGED) == 1


def test_servers_are_matched_by_address_port_and_protocol() -> None:
    gone, new = servers(change(SERVER, port=81)).items
    assert [gone.action, new.action] == [Action.REMOVED, Action.ADDED]
    assert gone.name == "[192.0.2.1]:tcp:80"
    assert new.detail == "wlc NAT"
    assert gone.parts[0].action is Action.REMOVED
    item = only(servers(change(SERVER, real_servers=(change(REAL, weight=7), change(REAL, port=81)))))
    assert item.changes == ()
    assert [(part.action, part.name, told(part)) for part in item.parts] == [
        (Action.CHANGED, "10.0.0.1:80", ["weight 1 → 7"]),
        (Action.ADDED, "10.0.0.1:81", []),
    ]
    assert not servers(change(SERVER, real_servers=(REAL,))).items


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ((), "counts as up"),
        ((CheckUse(check="x"),), "enters the table at once"),
        ((CheckUse(check="x", alpha=True),), "stays out until"),
    ],
)
def test_a_new_real_server(uses: tuple[CheckUse, ...], words: str) -> None:
    item = only(servers(change(SERVER, real_servers=(REAL, change(REAL, address="10.0.0.2", checks=uses)))))
    (consequence,) = item.parts[0].consequences
    assert words in consequence


def test_a_check_with_other_settings_is_told_beside_the_one_it_replaces() -> None:
    changed = change(CHECK, id="HTTP_GET:10.0.0.1:80#2", delay_loop_us=6_000_000, warmup_us=6_000_000)
    item = only(checks(changed))
    assert (item.action, item.name) == (Action.CHANGED, changed.id)
    assert told(item) == ["delay_loop 60 s → 6 s", "warmup 60 s → 6 s"]
    # 1 s and the warmup
    assert any("within 7 s" in each for each in item.consequences)


def test_another_target_is_another_check() -> None:
    new, gone = checks(change(CHECK, id="HTTP_GET:10.0.0.2:80#1", address="10.0.0.2")).items
    assert (new.action, new.name) == (Action.ADDED, "HTTP_GET:10.0.0.2:80#1")
    assert (gone.action, gone.name) == (Action.REMOVED, CHECK.id)


def test_scripts_are_told_as_commands() -> None:
    after = change(BEFORE, notify=NotifySection(targets=(change(TARGET, notify_master=None),)))
    item = only(compare(BEFORE, after))
    assert item.kind is Kind.SCRIPTS
    assert told(item) == ["notify_master /bin/true 'a b' as nobody → none"]


def test_settings() -> None:
    after = change(BEFORE, global_defs=GlobalDefs(router_id="two", smtp_connect_timeout_us=5_000_000))
    item = only(compare(BEFORE, after))
    assert item.kind is Kind.SETTINGS
    assert told(item) == ["router_id one → two", "smtp_connect_timeout 30 s → 5 s"]


def test_routes_rules_and_static_objects_are_told_one_by_one() -> None:
    kept = Route(destination="10.1.0.0/16", interface="eth0")
    gone = Route(destination="10.2.0.0/16", gateway="192.0.2.9", table=7)
    changed = Rule(family=4, preference=5, table=7)
    before = dataclasses.replace(INSTANCE, virtual_routes=(kept, gone), virtual_rules=(changed,))
    after = dataclasses.replace(
        INSTANCE,
        virtual_routes=(dataclasses.replace(kept, metric=9), kept),
        virtual_rules=(dataclasses.replace(changed, no_track=True),),
    )
    statics = Statics(addresses=(ADDRESS,), routes=(gone,))
    plan = compare(
        Configuration(vrrp=VrrpSection(instances=(before,))),
        Configuration(vrrp=VrrpSection(instances=(after,), statics=statics)),
    )
    (instance,) = [item for item in plan.items if item.kind is Kind.INSTANCE]
    assert instance.changes == ()
    assert [(part.action, part.name) for part in instance.parts] == [
        (Action.REMOVED, "10.2.0.0/16 via 192.0.2.9 table 7"),
        (Action.ADDED, "10.1.0.0/16 dev eth0 metric 9"),
        (Action.CHANGED, "5: from all table 7"),
    ]
    assert [(item.action, item.name) for item in plan.items if item.kind is Kind.STATIC] == [
        (Action.ADDED, "192.0.2.1/24 dev eth0"),
        (Action.ADDED, "10.2.0.0/16 via 192.0.2.9 table 7"),
    ]
    assert plan.count(Kind.ROUTE, Action.REMOVED) == 1
