"""Virtual servers as nftables rules, and what a listing tells of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from keepbus_ipvs import rules
from keepbus_ipvs.table import (
    AF_INET,
    AF_INET6,
    MASQUERADE,
    TCP,
    UDP,
    Destination,
    DestinationKey,
    Entry,
    Service,
    ServiceKey,
)

A, B = "198.51.100.1", "198.51.100.2"


def entry(
    *targets: tuple[str, int, int], scheduler: str = "rr", address: str = "192.0.2.1", protocol: int = TCP
) -> Entry:
    family = AF_INET6 if ":" in address else AF_INET
    destinations = [
        Destination(DestinationKey(target, port), MASQUERADE, weight) for target, port, weight in targets
    ]
    return Entry(
        Service(ServiceKey(family, protocol, address, 80), scheduler),
        {destination.key: destination for destination in destinations},
    )


def expression(made: Entry) -> list[Any]:
    """The expression of the one rule of the service's chain; empty when there is no rule."""
    found = [
        command["add"]["rule"]["expr"] for command in rules.install(made) if "rule" in command.get("add", {})
    ]
    assert len(found) < 2
    return found[0] if found else []


def element(made: Entry) -> dict[str, Any]:
    (found,) = (
        command["add"]["element"] for command in rules.install(made) if "element" in command.get("add", {})
    )
    assert isinstance(found, dict)
    return found


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    match, dnat = expression(entry((A, 80, 1), (B, 8080, 2)))
    assert match["match"]["right"] == "tcp"
    assert dnat["dnat"] == {
        "family": "ip",
        "addr": {
            "map": {
                "key": {"numgen": {"mode": "inc", "mod": 2, "offset": 0}},
                "data": {"set": [[0, {"concat": [A, 80]}], [1, {"concat": [B, 8080]}]]},
            }
        },
    }


def test_weights_are_shares_of_the_turns() -> None:
    _match, dnat = expression(entry((A, 80, 1), (B, 80, 3), scheduler="wrr"))
    balance = dnat["dnat"]["addr"]["map"]
    assert balance["key"]["numgen"]["mod"] == 4
    assert balance["data"]["set"] == [[0, {"concat": [A, 80]}], [{"range": [1, 3]}, {"concat": [B, 80]}]]


def test_source_hash_has_a_fixed_seed_so_that_both_nodes_agree() -> None:
    _match, dnat = expression(entry((A, 80, 1), (B, 80, 1), scheduler="sh"))
    assert dnat["dnat"]["addr"]["map"]["key"]["jhash"]["seed"] == 1


def test_weight_0_gets_no_turn() -> None:
    assert expression(entry((A, 80, 0), (B, 80, 1)))[1] == {"dnat": {"family": "ip", "addr": B, "port": 80}}
    assert expression(entry((A, 80, 0))) == []


@pytest.mark.parametrize(("port", "verdict"), [(80, {"accept": None}), (8080, {"redirect": {"port": 8080}})])
def test_server_on_loopback_gets_the_packet_here(port: int, verdict: dict[str, Any]) -> None:
    assert expression(entry(("127.0.0.1", port, 1)))[1] == verdict


def test_udp_is_matched_as_such() -> None:
    made = entry((A, 80, 1), protocol=UDP)
    assert expression(made)[0]["match"]["right"] == "udp"
    assert element(made)["elem"] == [
        [{"concat": ["192.0.2.1", "udp", 80]}, {"goto": {"target": "udp-192.0.2.1-80"}}]
    ]


def test_ipv6_has_a_map_of_its_own_and_a_name_that_nft_can_read() -> None:
    made = entry(("2001:db8::5", 80, 1), address="2001:db8::1")
    assert element(made)["name"] == "services6"
    assert expression(made)[1]["dnat"]["family"] == "ip6"
    assert rules.chain_name(made.service.key) == "tcp-2001.db8..1-80"


LISTING: dict[str, Any] = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "keepbus", "handle": 1}},
        {"map": {"name": "services4", "handle": 2, "elem": [
            [{"concat": ["192.0.2.1", "tcp", 80]}, {"goto": {"target": "tcp-192.0.2.1-80"}}]]}},
        {"map": {"name": "services6", "handle": 3}},
        {"chain": {"name": "prerouting", "handle": 4, "hook": "prerouting", "prio": -100}},
        {"chain": {"name": "tcp-192.0.2.1-80", "handle": 5}},
        {"rule": {"chain": "prerouting", "handle": 6, "expr": [{"vmap": {}}]}},
        {"rule": {"chain": "tcp-192.0.2.1-80", "handle": 7, "expr": [{"dnat": {"addr": A}}]}},
    ]
}  # fmt: skip
CHAIN = "tcp-192.0.2.1-80"


def changed(index: int, kind: str, **values: Any) -> dict[str, str]:
    listing = copy.deepcopy(LISTING)
    listing["nftables"][index][kind].update(values)
    return rules.digests(listing)


def test_handles_make_no_difference_to_a_digest() -> None:
    assert changed(7, "rule", handle=99) == rules.digests(LISTING)


def test_changed_rule_and_missing_element_make_one() -> None:
    before = rules.digests(LISTING)
    assert changed(7, "rule", expr=[{"dnat": {"addr": B}}])[CHAIN] != before[CHAIN]
    assert changed(2, "map", elem=[])[CHAIN] != before[CHAIN]
    assert changed(7, "rule", expr=[])["prerouting"] == before["prerouting"]


def test_changed_hook_makes_a_difference_to_the_base() -> None:
    before = rules.base_digest(rules.digests(LISTING))
    assert rules.base_digest(changed(4, "chain", prio=0)) != before
    assert rules.base_digest(changed(6, "rule", expr=[])) != before
    assert rules.base_digest({}) != before


def test_table_that_was_never_written_has_no_digest() -> None:
    assert rules.digests({}) == {}
