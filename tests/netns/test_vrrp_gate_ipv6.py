"""The lease below 1 s over IPv6, with traffic: neighbour solicitations and pings (R-L3, R-F17, R-F19)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from node_harness import INTERFACE, Node, eventually, ip, needs_namespaces, node, wire

pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(shutil.which("ping") is None, reason="needs ping: the gate was not tried"),
]

VIP, LINK_LOCAL = "2001:db8:9::100", "fe80::51"
NEIGHBOUR = "2001:db8:9::2"
LEASE_S = 0.2
CONFIGURATION = f"""
vrrp_instance VI_6 {{
    state BACKUP
    interface {INTERFACE}
    virtual_router_id 51
    priority 200
    advert_int 0.1
    virtual_ipaddress {{
        {LINK_LOCAL}/64
        {VIP}/64
    }}
}}
"""


def run_in(namespace: str, *words: str) -> str:
    command = ["ip", "netns", "exec", namespace, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout


def is_resolved(namespace: str, address: str) -> bool:
    """Whether a neighbour solicitation for the address is answered: asked anew, by a packet for it."""
    run_in(namespace, "ip", "-6", "neigh", "flush", "dev", INTERFACE)
    answers(namespace, address)
    return "lladdr" in run_in(namespace, "ip", "-6", "neigh", "show", address, "dev", INTERFACE)


def answers(namespace: str, address: str) -> bool:
    """Whether a ping is answered, with the neighbour that is known."""
    where = address if address == VIP else f"{address}%{INTERFACE}"
    return " 0 received" not in run_in(namespace, "ping", "-6", "-n", "-c", "1", "-W", "0.4", where)


@contextlib.contextmanager
def gated() -> Iterator[tuple[Node, str]]:
    """A master at 0.1 s, and the namespace of a neighbour that has heard from it."""
    with wire() as (d1, d2):
        for name, address in ((d1, "2001:db8:9::1"), (d2, NEIGHBOUR)):
            ip("-n", name, "address", "add", f"{address}/64", "dev", INTERFACE, "nodad")
        with node(d1, CONFIGURATION) as made:
            eventually("the address answers", lambda: is_resolved(d2, VIP) and answers(d2, VIP), 10)
            yield made, d2


def test_r_l3_r_f17_r_f19_a_frozen_node_answers_neither_solicitations_nor_packets() -> None:
    with gated() as (made, neighbour):
        assert is_resolved(neighbour, LINK_LOCAL)
        assert answers(neighbour, LINK_LOCAL)
        # While adverts leave everything passes: over ten leases not one is lost.
        said = run_in(neighbour, "ping", "-6", "-n", "-c", "100", "-i", "0.02", "-W", "1", VIP)
        assert " 100 received" in said, said[-300:]
        # The neighbour knows where it is: packets go on without a solicitation.
        victims = made.processes()
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE_S + 0.2)
        assert not answers(neighbour, VIP), "packets to it are dropped"
        assert not answers(neighbour, LINK_LOCAL)
        assert not is_resolved(neighbour, VIP), "who asks where it is gets no answer"
        assert not is_resolved(neighbour, LINK_LOCAL)
        held = run_in(made.namespace, "ip", "-6", "address", "show", "dev", INTERFACE)
        assert VIP in held, "nobody took it away: it is mute"
        assert answers(neighbour, "2001:db8:9::1"), "another address of the host is not concerned"
        for pid in victims:
            os.kill(pid, signal.SIGCONT)
        eventually("it answers again", lambda: is_resolved(neighbour, VIP) and answers(neighbour, VIP), 8)
        assert "this process was held up" in made.said()
