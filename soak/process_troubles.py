"""Troubles of processes: killed, frozen, several at once, all of them."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

from soak.evidence import Terms
from soak.node import SERVICES
from soak.stage import Stage
from soak.troubles import Act, trouble


@trouble
def kill_service(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """kill -9 of one service: nothing is seen outside."""
    node, name = chance.choice(stage.nodes), chance.choice(SERVICES)
    node.signal(signal.SIGKILL, node.service(name))
    yield Act(
        f"{node.name}: kill -9 {name}", Terms(untold=name == "notify", unrecorded=name in ("audit", "hub"))
    )
