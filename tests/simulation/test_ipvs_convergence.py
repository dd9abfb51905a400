"""Whatever happens, the table ends as configuration and verdicts want it, and nobody else's entry is touched.

Random lives in virtual time: verdicts, reloads, crashes, failing writes, lost answers, a table that cannot be
read, and somebody who changes it behind our back. Then everything works again for a while.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from ipvs_play import Play, check_of, real, virtual
from keepbus_ipvs.heard import heard
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.table import AF_INET, TCP, Entry, Service, ServiceKey

from keepbus.config.ipvs_drivers import unsupported
from keepbus.config.model.ipvs import VirtualServer
from keepbus.contracts.checker import Verdict

SERVERS = ("172.16.1.3", "172.16.1.4", "172.16.1.5")
VIPS = ("172.16.1.251", "172.16.1.252", "172.16.1.253")
SORRY = "172.16.1.99"
FOREIGN = Entry(Service(ServiceKey(AF_INET, TCP, "203.0.113.7", 443), "rr"), {})
LONGEST_RETRY_S = 31.0


def services(choice: int) -> tuple[VirtualServer, ...]:
    """One of a few configurations that share addresses and checks."""
    every = (
        virtual(
            *(real(address, weight) for address, weight in zip(SERVERS, (1, 2, 3), strict=True)),
            address=VIPS[0],
            sorry=SORRY,
            quorum=2,
        ),
        virtual(
            *(real(address, inhibit_on_failure=True) for address in SERVERS[:2]), address=VIPS[1], sorry=SORRY
        ),
        virtual(*(real(address, alpha=True) for address in SERVERS[1:]), address=VIPS[2], scheduler="wlc"),
        virtual(real(SERVERS[0], 7), address=VIPS[0], scheduler="wlc"),
    )
    refused = virtual(real(SERVERS[0], 70_000), address=VIPS[1])
    return ((every[0], every[1]), (every[2],), (every[3], every[1], every[2]), (), (refused,))[choice]


step = st.one_of(
    st.tuples(st.just("verdict"), st.sampled_from(SERVERS), st.sampled_from([Verdict.UP, Verdict.DOWN])),
    st.tuples(st.just("unknown"), st.sampled_from(SERVERS)),
    st.tuples(st.just("reload"), st.integers(0, 4)),
    st.tuples(st.just("crash")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("drop destination"), st.integers(0, 5)),
    st.tuples(st.just("refuse writes"), st.booleans()),
    st.tuples(st.just("lose answers"), st.booleans()),
    st.tuples(st.just("refuse readings"), st.booleans()),
    st.tuples(st.just("wait"), st.floats(0.01, 3)),
)


class Life:
    """A node over several processes of ipvs."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.configuration = services(0)
        self.play = Play(table={FOREIGN.service.key: FOREIGN})
        self.play.configure(*self.configuration)

    def do(self, name: str, *values: Any) -> None:
        play = self.play
        if name == "verdict":
            self.verdicts[values[0]] = values[1]
            play.verdict(check_of(values[0]), values[1])
        elif name == "unknown":
            play.verdict(check_of(values[0]), Verdict.UNKNOWN)
        elif name == "reload":
            self.configuration = services(values[0])
            play.configure(*self.configuration)
            self.tell_retained()
        elif name == "crash":
            self.play = Play(table=play.table)
            self.play.memory = play.memory
            self.play.refuses, self.play.read_error = play.refuses, play.read_error
            self.play.loses_answers = play.loses_answers
            self.play.configure(*self.configuration)
            self.tell_retained()
        elif name == "flush":
            play.table.clear()
            play.table[FOREIGN.service.key] = FOREIGN
        elif name == "drop destination":
            self.drop(values[0])
        elif name == "refuse writes":
            play.refuses = "refused" if values[0] else ""
        elif name == "lose answers":
            play.loses_answers = values[0]
        elif name == "refuse readings":
            play.read_error = "cannot read the kernel's table" if values[0] else ""
        else:
            play.wait(values[0])

    def drop(self, number: int) -> None:
        """Somebody removes a destination of ours."""
        entries = [entry for key, entry in self.play.table.items() if key != FOREIGN.service.key]
        keys = [(entry, key) for entry in entries for key in entry.destinations]
        if keys:
            entry, key = keys[number % len(keys)]
            del entry.destinations[key]

    def tell_retained(self) -> None:
        """What the hub does for a listener: the last verdict of each check that is in use."""
        for address, verdict in self.verdicts.items():
            self.play.verdict(check_of(address), verdict)

    def wanted(self) -> dict[ServiceKey, Entry]:
        """The table that ought to be there, from scratch."""
        told = {
            check_of(address): heard(self.play.message(check_of(address), verdict).body)
            for address, verdict in self.verdicts.items()
        }
        table = {FOREIGN.service.key: FOREIGN}
        for virtual_server in self.configuration:
            if unsupported("ipvs", virtual_server):
                continue
            pool = pool_of(virtual_server)
            pool.evaluate(told, 1)
            table.update(pool.entries())
        return table


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(step, max_size=25))
def test_r_f87_table_converges_and_stays(steps: list[tuple[Any, ...]]) -> None:
    life = Life()
    for name, *values in steps:
        life.do(name, *values)
        assert life.play.table[FOREIGN.service.key] is FOREIGN
    life.do("refuse writes", False)
    life.do("lose answers", False)
    life.do("refuse readings", False)
    # Every check has a verdict in the end; before that, what was known of a server is kept.
    for address in SERVERS:
        life.do("verdict", address, life.verdicts.get(address, Verdict.UP))
    life.play.wait(2 * LONGEST_RETRY_S)
    assert life.play.table == life.wanted()
    life.play.take()
    life.play.wait(LONGEST_RETRY_S)
    assert life.play.take() == []
    life.play.stop()
    assert life.play.table == {FOREIGN.service.key: FOREIGN}
