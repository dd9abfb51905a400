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
    PERSISTENT,
    TCP,
    UDP,
    Destination,
    DestinationKey,
    Entry,
    Service,
    ServiceKey,
)

A, B = "198.51.100.1", "198.51.100.2"
CHAIN = "tcp-192.0.2.1-80"
NOTHING = rules.Present()


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


def rules_of(made: Entry, chain: str, present: rules.Present = NOTHING) -> list[Any]:
    """The expressions of the rules that `install` puts into a chain."""
    added = [
        command["add"]["rule"] for command in rules.install(made, present) if "rule" in command.get("add", {})
    ]
    return [rule["expr"] for rule in added if rule["chain"] == chain]


def choices(made: Entry) -> list[Any]:
    return rules_of(made, rules.chain_name(made.service.key))


def destination(made: Entry, index: int = 0) -> list[Any]:
    """The statements of a destination's one rule."""
    name = rules.destination_name(made.service.key, list(made.destinations)[index])
    (expression,) = rules_of(made, name)
    assert isinstance(expression, list)
    return expression


def names(commands: list[Any], verb: str, kind: str) -> list[str]:
    return [command[verb][kind]["name"] for command in commands if kind in command.get(verb, {})]


def element(made: Entry) -> dict[str, Any]:
    (found,) = (
        command["add"]["element"]
        for command in rules.install(made, NOTHING)
        if "element" in command.get("add", {})
    )
    assert isinstance(found, dict)
    return found


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    assert choices(entry((A, 80, 1), (B, 8080, 2))) == [
        [
            {
                "vmap": {
                    "key": {"numgen": {"mode": "inc", "mod": 2, "offset": 0}},
                    "data": {
                        "set": [
                            [0, {"goto": {"target": f"{CHAIN}-{A}-80"}}],
                            [1, {"goto": {"target": f"{CHAIN}-{B}-8080"}}],
                        ]
                    },
                }
            }
        ]
    ]


def test_a_destination_is_counted_and_rewritten() -> None:
    match, counter, dnat = destination(entry((A, 80, 1), (B, 8080, 2)), 1)
    assert match["match"]["right"] == "tcp"
    assert counter == {"counter": f"{CHAIN}-{B}-8080"}
    assert dnat == {"dnat": {"family": "ip", "addr": B, "port": 8080}}


def test_weights_are_shares_of_the_turns() -> None:
    ((choice,),) = choices(entry((A, 80, 1), (B, 80, 3), scheduler="wrr"))
    assert choice["vmap"]["key"]["numgen"]["mod"] == 4
    assert [slot for slot, _target in choice["vmap"]["data"]["set"]] == [0, {"range": [1, 3]}]


def test_source_hash_has_a_fixed_seed_so_that_both_nodes_agree() -> None:
    ((choice,),) = choices(entry((A, 80, 1), (B, 80, 1), scheduler="sh"))
    assert choice["vmap"]["key"]["jhash"]["seed"] == 1


def test_weight_0_gets_no_turn() -> None:
    assert choices(entry((A, 80, 0), (B, 80, 1))) == [[{"goto": {"target": f"{CHAIN}-{B}-80"}}]]
    assert choices(entry((A, 80, 0))) == []


@pytest.mark.parametrize(("port", "verdict"), [(80, {"accept": None}), (8080, {"redirect": {"port": 8080}})])
def test_server_on_loopback_gets_the_packet_here(port: int, verdict: dict[str, Any]) -> None:
    assert destination(entry(("127.0.0.1", port, 1)))[-1] == verdict


MASK_56 = "ffff:ffff:ffff:ff00::"
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}


def persistent(
    *targets: tuple[str, int, int], netmask: str = "255.255.255.255", address: str = "192.0.2.1"
) -> Entry:
    made = entry(*targets, address=address)
    service = made.service._replace(flags=PERSISTENT, timeout_s=50, netmask=netmask)
    return Entry(service, made.destinations)


def test_persistent_client_is_looked_for_first_also_where_the_weight_is_0() -> None:
    """W7: a server of weight 0 keeps the clients that it has."""
    first, second, turn = choices(persistent((A, 80, 0), (B, 80, 1)))
    known = {"op": "==", "left": SOURCE, "right": f"@{CHAIN}-{A}-80"}
    assert first == [{"match": known}, {"goto": {"target": f"{CHAIN}-{A}-80"}}]
    assert second[0]["match"]["right"] == f"@{CHAIN}-{B}-80"
    assert turn == [{"goto": {"target": f"{CHAIN}-{B}-80"}}]


def test_each_connection_of_a_persistent_client_renews_its_time() -> None:
    made = persistent((A, 80, 1))
    name = f"{CHAIN}-{A}-80"
    update = {"op": "update", "elem": {"elem": {"val": SOURCE, "timeout": 50}}, "set": f"@{name}"}
    assert {"set": update} in destination(made)
    assert names(rules.install(made, NOTHING), "add", "set") == [name]


@pytest.mark.parametrize(
    ("address", "netmask", "client"),
    [
        ("192.0.2.1", "255.255.255.0", {"&": [SOURCE, "255.255.255.0"]}),
        ("2001:db8::1", "128", {"payload": {"protocol": "ip6", "field": "saddr"}}),
        ("2001:db8::1", "56", {"&": [{"payload": {"protocol": "ip6", "field": "saddr"}}, MASK_56]}),
    ],
)
def test_granularity_makes_clients_one(address: str, netmask: str, client: dict[str, Any]) -> None:
    """W14."""
    server = "2001:db8::5" if ":" in address else A
    made = persistent((server, 80, 1), netmask=netmask, address=address)
    assert choices(made)[0][0]["match"]["left"] == client


def test_what_is_there_is_not_added_again_and_what_is_gone_is_taken_away() -> None:
    there, gone = f"{CHAIN}-{A}-80", f"{CHAIN}-{B}-80"
    other = f"{CHAIN}80-{B}-80"
    both = frozenset({there, gone, other})
    present = rules.Present(chains=both | {CHAIN}, sets=both, counters=both)
    commands = rules.install(persistent((A, 80, 1)), present)
    assert names(commands, "add", "set") == names(commands, "add", "counter") == []
    for kind in ("chain", "set", "counter"):
        assert names(commands, "delete", kind) == [gone]
    commands = rules.install(entry((A, 80, 1)), present)
    assert names(commands, "delete", "set") == [there, gone], "persistence was turned off"
    commands = rules.remove(entry((A, 80, 1)).service.key, present)
    assert names(commands, "delete", "chain") == [there, gone, CHAIN]


def test_udp_is_matched_as_such() -> None:
    made = entry((A, 80, 1), protocol=UDP)
    assert destination(made)[0]["match"]["right"] == "udp"
    assert element(made)["elem"] == [
        [{"concat": ["192.0.2.1", "udp", 80]}, {"goto": {"target": "udp-192.0.2.1-80"}}]
    ]


def test_ipv6_has_a_map_of_its_own_and_a_name_that_nft_can_read() -> None:
    made = entry(("2001:db8::5", 80, 1), address="2001:db8::1")
    assert element(made)["name"] == "services6"
    assert destination(made)[-1]["dnat"]["family"] == "ip6"
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


def test_a_services_digest_covers_its_destinations() -> None:
    made = entry((A, 80, 1), (B, 80, 1))
    found = {CHAIN: "1", f"{CHAIN}-{A}-80": "2", f"{CHAIN}-{B}-80": "3"}
    assert rules.digest(made, found) == "1 2 3"
    assert rules.digest(made, {**found, f"{CHAIN}-{B}-80": "4"}) != "1 2 3"
    assert rules.digest(made, {}) == ""


def test_connections_are_read_from_the_counters() -> None:
    made = entry((A, 80, 1), (B, 80, 1))
    listing = {"nftables": [{"counter": {"name": f"{CHAIN}-{A}-80", "packets": 7, "bytes": 420}}]}
    assert rules.connections(made, listing) == {DestinationKey(A, 80): 7, DestinationKey(B, 80): 0}
