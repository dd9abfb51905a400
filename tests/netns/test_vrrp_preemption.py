"""Who gives way to whom, beside the distribution's keepalived: the same file on both sides, both roles.

Owner, nopreempt and preempt_delay (conformance P1, P7, E1 to E3, E5). Each asserts who is master, where the
address is, and that keepalived counted no bad packet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vrrp_nodes import KEEPALIVED, Keepalived, Keepbus, Router, wait_for

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing()),
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

VIP = "10.9.0.100"
ROLES = pytest.mark.parametrize("ours_is_better", [True, False], ids=["ours is better", "theirs is better"])


class Pair:
    """One of ours and one of theirs, of which one has the better priority."""

    def __init__(self, spaces: Namespaces, directory: Path) -> None:
        names = spaces.add("ours"), spaces.add("theirs")
        spaces.join((names[0], "eth0", "10.9.0.1/24"), (names[1], "eth0", "10.9.0.2/24"))
        self.ours = Keepbus(spaces, names[0], "eth0", directory / "ours")
        self.theirs = Keepalived(spaces, names[1], "eth0", directory / "theirs")

    def configure(self, router: Router, *lines: str) -> None:
        """The same words for both: what is common, and what is the router's own."""
        words = "\n".join(f"    {line}" for line in lines)
        text = (
            "vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    advert_int 1\n"
            f"{words}\n    virtual_ipaddress {{\n        {VIP}/24\n    }}\n}}\n"
        )
        file = router.directory / "keepalived.conf"
        file.write_text(text, encoding="utf-8")
        if isinstance(router, Keepbus):
            compiled = compile_file(file)
            assert compiled.configuration is not None, compiled
            generation.write(router.directory, compiled.configuration, file)

    def holders(self) -> list[Router]:
        """Who has the address."""
        return [router for router in (self.ours, self.theirs) if router.has(VIP)]

    def no_errors(self) -> None:
        """Neither side refused a packet of the other."""
        counted = self.theirs.statistics()
        errors = {
            name: count
            for name, count in counted.items()
            if count and not name.startswith(("Received", "Sent", "Became", "Released"))
        }
        assert errors == {}
        record = self.ours.record()
        assert record is not None
        assert record.dropped == {}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Namespaces("vrp") as spaces:
        yield Pair(spaces, tmp_path)


def roles(pair: Pair, ours_is_better: bool) -> tuple[Router, Router]:
    return (pair.ours, pair.theirs) if ours_is_better else (pair.theirs, pair.ours)


@ROLES
def test_the_owner_is_master_at_once_and_again_when_it_is_back(pair: Pair, ours_is_better: bool) -> None:
    """I1, P7: it does not wait a master down interval, and preempts whoever stands in for it."""
    owner, other = roles(pair, ours_is_better)
    pair.configure(owner, "state MASTER", "priority 255")
    pair.configure(other, "state BACKUP", "priority 200")
    other.start()
    wait_for("the stand-in has the address", lambda: pair.holders() == [other])
    for _ in range(2):
        owner.start()
        wait_for("the owner has its address", lambda: pair.holders() == [owner], 2.5)
        if _ == 0:
            owner.stop()
            wait_for("the stand-in has the address", lambda: pair.holders() == [other])
    pair.no_errors()


@ROLES
def test_nopreempt_leaves_the_address_where_it_is(pair: Pair, ours_is_better: bool) -> None:
    """E2: a worse master is respected; when it goes, the better one takes over after the skew time."""
    better, worse = roles(pair, ours_is_better)
    pair.configure(better, "state BACKUP", "priority 200", "nopreempt")
    pair.configure(worse, "state BACKUP", "priority 100")
    worse.start()
    wait_for("the worse one has the address", lambda: pair.holders() == [worse])
    better.start()
    # A master down interval of 3.2 s and the next one pass.
    time.sleep(5)
    assert pair.holders() == [worse]
    pair.no_errors()
    worse.stop()
    wait_for("the better one took over", lambda: pair.holders() == [better], 2.5)


@ROLES
def test_preempt_delay_is_waited_for(pair: Pair, ours_is_better: bool) -> None:
    """E3: from the first worse advert on the delay, then the timer that the last one started."""
    better, worse = roles(pair, ours_is_better)
    pair.configure(better, "state BACKUP", "priority 200", "preempt_delay 3")
    pair.configure(worse, "state BACKUP", "priority 100")
    worse.start()
    wait_for("the worse one has the address", lambda: pair.holders() == [worse])
    started_at = time.monotonic()
    better.start()
    wait_for("the better one took over", lambda: pair.holders() == [better])
    # The delay of 3 s, and of the master down interval of 3.2 s what is left after the last advert in it.
    assert time.monotonic() - started_at > 5.0
    pair.no_errors()
