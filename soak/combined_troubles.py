"""Two troubles at once: nobody promises what a client sees meanwhile, but all comes to rest afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator

from soak.evidence import Terms
from soak.routers import EVERYTHING
from soak.stage import Stage
from soak.troubles import TROUBLES, Act, trouble

_PARTS = (
    "add-address",
    "cut-both-ways",
    "cut-one-way",
    "delete-sockets",
    "delete-vmac",
    "file-changes",
    "fill-disk",
    "flush-nftables",
    "freeze-node",
    "freeze-service",
    "kill-service",
    "kill-several",
    "kill-vrrp-and-standby",
    "kill-web-server",
    "lose-frames",
    "no-descriptors",
    "pull-cables",
    "remove-address",
    "script-fails",
    "take-interface-down",
)
_TERMS = Terms(
    moves=EVERYTHING,
    anew=True,
    split=True,
    dark=True,
    most_steps=16,
    together_s=3,
    untold=True,
    unrecorded=True,
)


@trouble
def two_at_once(stage: Stage, chance: random.Random) -> Iterator[Act]:
    """Any two, on whatever nodes they fall."""
    parts = [TROUBLES[name](stage, chance) for name in chance.sample(_PARTS, 2)]
    acts = [next(part) for part in parts]
    yield Act("; ".join(act.told for act in acts), _TERMS, max(act.lasts_s for act in acts))
    for part in parts:
        next(part, None)
