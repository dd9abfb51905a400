"""`auth_hmac` on real sockets: two keepbus-vrrp with one key, then with two (X1, X2, X4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vrrp_nodes import Keepbus, instance, wait_for

from keepbus.config.model.vrrp import AddressFamily, AuthHmac, HmacKey, UnicastPeer
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())

ADDRESSES = ("10.9.0.1", "10.9.0.2")
FAST: dict[str, Any] = {"version": 3, "advert_interval_us": 100_000}


def key(octet: int) -> AuthHmac:
    octets = bytes([octet]) * 32
    return AuthHmac(keys=(HmacKey(key_id=7, octets=octets.hex()),), active_key=7, time_window_us=5_000_000)


class Pair:
    """Routers one (priority 200) and two (100), on a wire with both families."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        names = spaces.add("one"), spaces.add("two")
        ends = [(name, "eth0", f"{address}/24") for name, address in zip(names, ADDRESSES, strict=True)]
        spaces.join(*ends)
        for number, name in enumerate(names, 1):
            spaces.run(name, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0")
            spaces.run(name, "ip", "address", "add", f"fe80::{number}/64", "dev", "eth0", "nodad")
        self.one, self.two = (Keepbus(spaces, name, "eth0", directory / name) for name in names)

    def counted(self) -> dict[str, int]:
        """What both refused."""
        found: dict[str, int] = {}
        for router in (self.one, self.two):
            record = router.record("/51")
            for reason, count in record.dropped.items() if record is not None else ():
                found[reason] = found.get(reason, 0) + count
        return found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Namespaces("vrh") as spaces:
        yield Pair(spaces, tmp_path)


CASES: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "IPv4": ("10.9.0.100/24", FAST, [{}, {}]),
    "IPv6": ("fe80::51/64", FAST | {"family": AddressFamily.IPV6}, [{}, {}]),
    "unicast": (
        "10.9.0.100/24",
        FAST,
        [{"unicast_peers": (UnicastPeer(address=peer),)} for peer in reversed(ADDRESSES)],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_with_one_key_they_hear_each_other(
    pair: Pair, case: tuple[str, dict[str, Any], list[dict[str, Any]]]
) -> None:
    address, fields, own = case
    vip = address.partition("/")[0]
    for router, priority, more in zip((pair.one, pair.two), (200, 100), own, strict=True):
        router.configure(instance("eth0", address, priority=priority, auth_hmac=key(1), **fields, **more))
    pair.one.start()
    wait_for("one is master", lambda: pair.one.has(vip))
    pair.two.start()
    time.sleep(1)
    assert not pair.two.has(vip)
    pair.one.stop()
    wait_for("two has the address", lambda: pair.two.has(vip))
    pair.one.start()
    wait_for("one has it again", lambda: pair.one.has(vip) and not pair.two.has(vip))
    assert pair.counted() == {}


def test_with_two_keys_each_is_alone_and_says_why(pair: Pair) -> None:
    for router, octet in ((pair.one, 1), (pair.two, 2)):
        router.configure(instance("eth0", "10.9.0.100/24", auth_hmac=key(octet), **FAST))
        router.start()
    wait_for("both are master", lambda: pair.one.has("10.9.0.100") and pair.two.has("10.9.0.100"))
    wait_for("both say why", lambda: "(hmac)" in pair.one.text() and "(hmac)" in pair.two.text())
    wait_for("it is counted", lambda: pair.counted().keys() == {"hmac"})
