"""Lines of `virtual_routes`, `virtual_rules`, static objects and track_group (features 6.3, 9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import (
    INSTANCE,
    codes,
    compile_text,
    find,
    instance,
    is_error,
    only_instance,
    told,
    underlined,
)

from keepbus.config import iproute_names
from keepbus.config.model.routes import Encapsulation, NextHop, Range, Route, RouteMetric, Rule
from keepbus.config.model.vrrp import Statics, VirtualAddress
from keepbus.config.values import Invalid


def route(folder: Path, line: str) -> Route:
    (found,) = only_instance(instance(folder, f"virtual_routes {{\n{line}\n}}")).virtual_routes
    return found


def rule(folder: Path, line: str) -> Rule:
    (found,) = only_instance(instance(folder, f"virtual_rules {{\n{line}\n}}")).virtual_rules
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("10.0.0.0/8 via 192.0.2.9", Route(destination="10.0.0.0/8", gateway="192.0.2.9")),
        ("default via 192.0.2.9", Route(destination="0.0.0.0/0", gateway="192.0.2.9")),
        ("default6 dev eth1", Route(destination="::/0", interface="eth1")),
        ("any via 2001:db8::9", Route(destination="::/0", gateway="2001:db8::9")),
        ("inet6 all dev eth1", Route(destination="::/0", interface="eth1")),
        # keepalived would swallow the word after `inet`.
        ("inet 10.0.0.0/8 dev eth1", Route(destination="10.0.0.0/8", interface="eth1")),
        ("via 192.0.2.9 table 7 to 10.0.0.1", Route(destination="10.0.0.1/32", gateway="192.0.2.9", table=7)),
        ("blackhole 10.0.0.0/8 scope link", Route(destination="10.0.0.0/8", type="blackhole", scope=253)),
        ("local 10.0.0.1 dev lo", Route(destination="10.0.0.1/32", type="local", interface="lo", scope=254)),
        (
            "10.0.0.0/8 dev eth1 src 192.0.2.1 metric 0x10 tos 0x10 realms 2/3 mtu lock 1400 rtt 250ms",
            Route(
                destination="10.0.0.0/8",
                interface="eth1",
                preferred_source="192.0.2.1",
                metric=16,
                tos=16,
                realms=0x20003,
                metrics=(
                    RouteMetric(name="mtu", value=1400, lock=True),
                    RouteMetric(name="rtt", value=2000),
                ),
            ),
        ),
        (
            "10.0.0.0/8 nexthop via 192.0.2.9 weight 2 onlink nexthop dev eth1",
            Route(
                destination="10.0.0.0/8",
                next_hops=(NextHop(gateway="192.0.2.9", weight=2, onlink=True), NextHop(interface="eth1")),
            ),
        ),
        (
            "10.0.0.0/8 encap ip id 5 dst 192.0.2.9 ttl 9 dev eth1 no_track append",
            Route(
                destination="10.0.0.0/8",
                encapsulation=Encapsulation(kind="ip", id=5, destination="192.0.2.9", ttl=9),
                interface="eth1",
                no_track=True,
                mode="append",
            ),
        ),
        (
            "2001:db8::7/32 via 2001:db8::9 pref high expires 60 ttl-propagate disabled",
            Route(
                destination="2001:db8::/32",
                gateway="2001:db8::9",
                preference="high",
                expires_s=60,
                ttl_propagate=False,
            ),
        ),
    ],
)
def test_route(tmp_path: Path, line: str, expected: Route) -> None:
    assert route(tmp_path, line) == expected


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("10.0.0.0/8 vai 192.0.2.9", "unknown-keyword", "vai"),
        ("10.0.0.0/8 via", "missing-argument", "via"),
        ("10.0.0.0/8 via 192.0.2.300", "bad-value", "192.0.2.300"),
        ("10.0.0.1/8 via 192.0.2.9", "bad-value", "10.0.0.1/8"),
        ("10.0.0.0/8 via inet6 192.0.2.9", "bad-value", "192.0.2.9"),
        ("10.0.0.0/8 dev eth1 mtu lock many", "bad-value", "many"),
        ("10.0.0.0/8 dev eth1 hoplimit 256", "bad-value", "256"),
        ("10.0.0.0/8 dev eth1 table nowhere", "bad-value", "nowhere"),
        ("10.0.0.0/8 dev eth1 rtt soon", "bad-value", "soon"),
        ("10.0.0.0/8 dev eth1 quickack 2", "bad-value", "2"),
        ("10.0.0.0/8 dev eth1 features all", "bad-value", "all"),
        ("10.0.0.0/8 encap gre dev eth1", "bad-value", "gre"),
        ("10.0.0.0/8 nexthop weight 3", "bad-value", "weight"),
        ("10.0.0.0/8 nexthop via 192.0.2.9 weight 257", "bad-value", "257"),
        ("10.0.0.0/8 10.1.0.0/16 dev eth1", "unknown-keyword", "10.1.0.0/16"),
        ("via 192.0.2.9", "no-destination", "via"),
        ("2001:db8::/32 via 192.0.2.9", "mixed-families", "2001:db8::/32"),
        ("blackhole 10.0.0.0/8 via 192.0.2.9", "no-next-hop", "blackhole"),
        ("10.0.0.0/8 dev eth1 nexthop via 192.0.2.9", "two-next-hops", "nexthop"),
    ],
)
def test_the_word_that_is_wrong(tmp_path: Path, line: str, code: str, word: str) -> None:
    text = f"virtual_routes {{\n{line}\n10.9.0.0/16 dev eth1\n}}"
    compiled = instance(tmp_path, text)
    assert codes(compiled) == [code]
    assert is_error(compiled, code)
    assert underlined(find(compiled, code)) == word
    # --permissive leaves out this line and nothing else.
    kept = only_instance(instance(tmp_path, text, permissive=True)).virtual_routes
    assert [each.destination for each in kept] == ["10.9.0.0/16"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("10.0.0.0/8 gw 192.0.2.9", "deprecated"),
        ("10.0.0.0/8 via 192.0.2.9 or 192.0.2.8", "deprecated"),
        ("10.0.0.0/8 via 192.0.2.9 as 192.0.2.7", "obsolete"),
        ("10.0.0.0/8 dev eth1 protocol static", "protocol-of-tracked"),
        ("10.0.0.0/8 dev eth1 track_group G", "no-effect"),
        ("10.0.0.0/8 dev eth1 // remark", "slash-comment"),
        ("10.0.0.0/8 dev eth1 add append", "given-twice"),
    ],
)
def test_what_is_only_a_warning(tmp_path: Path, line: str, code: str) -> None:
    compiled = instance(tmp_path, f"virtual_routes {{\n{line}\n}}")
    assert [text.split()[:2] for text in told(compiled)] == [["warning", code]]
    (found,) = only_instance(compiled).virtual_routes
    assert (found.destination, found.protocol) == ("10.0.0.0/8", 18)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "from 10.0.0.0/8 table 7 preference 5",
            Rule(family=4, preference=5, source="10.0.0.0/8", table=7),
        ),
        (
            "not to 2001:db8::/32 lookup main order 6",
            Rule(family=6, preference=6, destination="2001:db8::/32", table=254, invert=True),
        ),
        (
            "fwmark 0x5/0xff blackhole priority 7",
            Rule(family=4, preference=7, mark=5, mask=255, action="blackhole"),
        ),
        (
            "inet6 iif eth1 goto 900 priority 8",
            Rule(family=6, preference=8, input_interface="eth1", action="goto", goto=900),
        ),
        ("l3mdev priority 9", Rule(family=4, preference=9, l3mdev=True)),
        ("type prohibit priority 10", Rule(family=4, preference=10, action="prohibit")),
        # keepalived refuses a single port.
        (
            "ipproto tcp sport 80 dport 90-99 uidrange 5-6 nop priority 11",
            Rule(
                family=4,
                preference=11,
                ip_protocol=6,
                source_ports=Range(low=80, high=80),
                destination_ports=Range(low=90, high=99),
                uid_range=Range(low=5, high=6),
                action="nop",
            ),
        ),
        (
            "from all tunnel-id 9 sup_pl 8 sup_group 3 realms 4 table 7 no_track priority 12",
            Rule(
                family=4,
                preference=12,
                tunnel_id=9,
                suppress_prefix_length=8,
                suppress_group=3,
                realms=4,
                table=7,
                no_track=True,
            ),
        ),
    ],
)
def test_rule(tmp_path: Path, line: str, expected: Rule) -> None:
    assert rule(tmp_path, line) == expected


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("from 10.0.0.0/8 preference 5", "no-action", "from"),
        ("from 10.0.0.0/8 table 7 blackhole preference 5", "two-actions", "from"),
        ("from 10.0.0.0/8 to 2001:db8::/32 table 7 preference 5", "mixed-families", "from"),
        ("form 10.0.0.0/8 table 7 preference 5", "unknown-keyword", "form"),
        ("fwmark 5/x table 7 preference 5", "bad-value", "5/x"),
        ("dport 90-80 table 7 preference 5", "bad-value", "90-80"),
        ("type nat preference 5", "bad-value", "nat"),
        ("sup_pl 33 table 7 preference 5", "bad-value", "sup_pl"),
        ("from 10.0.0.0/8 table", "missing-argument", "table"),
    ],
)
def test_the_word_of_a_rule_that_is_wrong(tmp_path: Path, line: str, code: str, word: str) -> None:
    compiled = instance(tmp_path, f"virtual_rules {{\n{line}\n}}")
    assert codes(compiled) == [code]
    assert underlined(find(compiled, code)) == word
    assert (
        only_instance(instance(tmp_path, f"virtual_rules {{\n{line}\n}}", permissive=True)).virtual_rules
        == ()
    )


def test_rules_without_a_preference_count_down(tmp_path: Path) -> None:
    """Each family for itself, as keepalived was seen to do."""
    before = "static_rules {\nfrom 10.3.0.0/16 table 7\n}"
    lines = "from 10.1.0.0/16 table 7\nfrom 2001:db8::/32 table 7\nto 10.2.0.0/16 table 7"
    compiled = instance(tmp_path, f"virtual_rules {{\n{lines}\n}}", before)
    assert set(codes(compiled)) == {"no-preference"}
    assert [each.preference for each in only_instance(compiled).virtual_rules] == [16383, 16384, 16382]


STATIC = """
static_ipaddress {
    198.51.100.1/24 brd + dev eth1 track_group G
    198.51.100.2 dev eth2 no_track track_group G
}
static_routes {
    10.0.0.0/8 dev eth3 track_group G
}
static_rules {
    iif eth4 table 7 preference 5 track_group G
}
track_group G {
    group {
        VI_1
    }
}
"""


def test_static_objects_and_track_group(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "", STATIC)
    assert compiled.diagnostics == ()
    assert compiled.configuration is not None
    assert compiled.configuration.vrrp.statics == Statics(
        addresses=(
            VirtualAddress(address="198.51.100.1", prefix=24, interface="eth1", broadcast="198.51.100.255"),
            VirtualAddress(address="198.51.100.2", prefix=32, interface="eth2", no_track=True),
        ),
        routes=(Route(destination="10.0.0.0/8", interface="eth3"),),
        rules=(Rule(family=4, preference=5, table=7, input_interface="eth4"),),
    )
    # What nobody tracks ties nobody.
    assert only_instance(compiled).static_interfaces == ("eth1", "eth3", "eth4")


def test_static_objects_need_no_instance(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "static_routes {\n10.0.0.0/8 dev eth3\n}")
    assert compiled.diagnostics == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("track_group G {", "track_group H {"), "unknown-track-group"),
        (("VI_1", "VI_7"), "unknown-instance"),
        (("dev eth3 ", "via 192.0.2.9 "), "no-effect"),
        (("dev eth2 ", ""), "no-interface"),
        (("VI_1", ""), "no-members"),
    ],
)
def test_what_ties_nothing(tmp_path: Path, change: tuple[str, str], code: str) -> None:
    compiled = compile_text(tmp_path, STATIC.replace(*change) + INSTANCE.replace("@", ""), permissive=True)
    assert code in codes(compiled)


def test_names_of_iproute2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator's file counts before the vendor's; a directory of more files too."""
    vendor, own = tmp_path / "vendor", tmp_path / "own"
    for directory in (vendor, own / "rt_tables.d"):
        directory.mkdir(parents=True)
    (vendor / "rt_tables").write_text("7 seven\n8 eight\n# 9 nine\n", encoding="utf-8")
    (own / "rt_tables").write_text("0x11 eight\n", encoding="utf-8")
    (own / "rt_tables.d" / "more.conf").write_text("  12\ttwelve # a dozen\n", encoding="utf-8")
    monkeypatch.setattr(iproute_names, "VENDOR", (vendor,))
    monkeypatch.setattr(iproute_names, "OWN", own)
    names = ("seven", "eight", "twelve", "main", "200", "0xff")
    assert [iproute_names.number("rt_tables", name) for name in names] == [7, 17, 12, 254, 200, 255]
    for name in ("nine", "4294967296", "-1", ""):
        with pytest.raises(Invalid):
            iproute_names.number("rt_tables", name)
    # Decimal, as keepalived; ip would take hexadecimal.
    assert iproute_names.number("rt_dsfield", "10") == 10


def test_a_route_in_a_vrf_has_its_table_at_run_time(tmp_path: Path) -> None:
    found = route(tmp_path, "10.0.0.0/8 dev eth1 vrf red")
    assert found == Route(destination="10.0.0.0/8", interface="eth1", vrf="red")
    assert found.name == "10.0.0.0/8 dev eth1 vrf red"
    assert found.interfaces == ("eth1", "red")
    line = "10.0.0.0/8 table 7 dev eth1 vrf red"
    both = instance(tmp_path, f"virtual_routes {{\n{line}\n}}")
    assert find(both, "given-twice").severity == "warning"
    assert only_instance(both).virtual_routes == (found,)
