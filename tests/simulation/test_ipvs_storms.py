"""24 virtual hours of verdict storms: the wanted table is a function of configuration and verdicts, and the
kernel's equals it within two seconds of the last change (R-I9). In between nothing is written.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from ipvs_play import SECOND, real, virtual
from test_ipvs_convergence import SERVERS, SORRY, Life, services

from keepbus.config.model.ipvs import GroupMember, VirtualServer
from keepbus.contracts.checker import Verdict

STORMS = 72
"""One every twenty minutes."""
QUIET_S = 2.0
GROUP = replace(
    virtual(
        *(real(address, weight) for address, weight in zip(SERVERS, (5, 1, 3), strict=True)),
        address="",
        sorry=SORRY,
        quorum=4,
    ),
    port=0,
    group="G",
    members=(
        GroupMember(address="10.0.0.1", last_address="10.0.0.9", port=443),
        GroupMember(fwmark=7, family="IPv4"),
    ),
)


def configuration(storm: int) -> tuple[VirtualServer, ...]:
    return (*services(storm // 10 % 3), GROUP)


def test_24_hours_of_verdict_storms() -> None:
    chance = random.Random(24)
    life = Life()
    life.configuration = ()
    ended_ns = life.play.now_ns + 86_400 * SECOND
    for storm in range(STORMS):
        if configuration(storm) != life.configuration:
            life.configuration = configuration(storm)
            life.play.configure(*life.configuration)
            life.tell_retained()
        # A table that is read in 20 ms is read every second, so that other hands are found out in time.
        life.play.reading_took_ns = SECOND // 50
        life.play.wait(61)
        rage(life, chance)
        life.play.wait(QUIET_S)
        assert life.play.table == life.wanted(), storm
        life.play.take()
        life.play.reading_took_ns = SECOND * 6 // 5
        life.play.wait((ended_ns - life.play.now_ns) / SECOND / (STORMS - storm))
        assert life.play.take() == [], storm
    assert ended_ns - life.play.now_ns < SECOND


def rage(life: Life, chance: random.Random) -> None:
    """Up to 120 verdicts within a second, and hands that reach into the table."""
    for _ in range(chance.randrange(1, 120)):
        life.do("verdict", chance.choice(SERVERS), chance.choice((Verdict.UP, Verdict.DOWN)))
        if chance.random() < 0.02:
            life.do("drop destination", chance.randrange(9))
        if chance.random() < 0.005:
            life.do("flush")
        life.play.wait(chance.random() / 100)
    for address in SERVERS:
        life.do("verdict", address, life.verdicts.get(address, Verdict.UP))
