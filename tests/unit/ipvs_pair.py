"""What most lives of the ipvs machine begin with: two real servers and a sorry server."""

from __future__ import annotations

from typing import Any

from ipvs_play import Play, real, virtual
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.table import AF_INET, TCP, Entry, Service, ServiceKey

from keepbus.config.model.ipvs import VirtualServer

A, B = "172.16.1.3", "172.16.1.4"
SORRY = "172.16.1.99"
S = "-t 172.16.1.254:80"
PAIR = virtual(real(A), real(B, 2), sorry=SORRY)
KEY = pool_of(PAIR).keys[0]
FOREIGN = Entry(Service(ServiceKey(AF_INET, TCP, "203.0.113.7", 443), "rr"), {})


def started(*servers: VirtualServer, **options: Any) -> Play:
    """A life that has written these, the pair when none is named."""
    play = Play(**options)
    play.configure(*(servers or (PAIR,)))
    return play
