"""What follows from a reload, in words: sentences for `keepbus.config.plan`. Pure.

They say what the services do, so who changes a service's reload changes its sentence here. A plan knows
files and not who is MASTER; where that matters the sentence names the case.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from keepbus.config.model.checker import Check
from keepbus.config.model.ipvs import RealServer
from keepbus.config.model.vrrp import VrrpInstance

INSTANCE_REMOVED = (
    "if MASTER here: it sends priority 0 and gives up its addresses, so a peer takes over at once"
)
VIRTUAL_SERVER_REMOVED = "the service of a removed virtual server leaves the table: nobody answers there"
VIRTUAL_SERVER_CHANGED = "a changed virtual server is edited in place: connections and counters stay"
REAL_SERVER_REMOVED = (
    "a removed real server leaves the table at once; `keepbus reload --drain` lets its connections end"
)
CHECK_CHANGED = "a check with other settings is another check: it begins anew"

_OWNER_PRIORITY = 255
_FIRST_PROBE_US = 1_000_000
"""What checker waits before the random part of warmup."""


def of_new_instance(instance: VrrpInstance, gone: Collection[str]) -> Iterator[str]:
    """gone: names of instances that the same reload removes."""
    if instance.name in gone:
        yield (
            "another interface, family or virtual_router_id makes another virtual router: "
            f"the {instance.name} of now ends, this one begins anew"
        )
    if instance.priority == _OWNER_PRIORITY:
        yield "becomes MASTER at once: priority 255 owns the addresses"
    else:
        wait_s = _master_down_interval_us(instance) / 1e6
        yield f"begins as BACKUP; becomes MASTER when it hears no better router within {wait_s:.3g} s"


def of_changed_instance(old: VrrpInstance, new: VrrpInstance) -> Iterator[str]:
    """Of an instance whose name alone changed nothing follows."""
    if dataclasses.replace(old, name=new.name) == new:
        return
    yield "keeps its state; if MASTER here: it sends an advert with the new values at once"
    if (old.vmac, old.address_vmacs) != (new.vmac, new.address_vmacs):
        yield "if MASTER here: the addresses move to another interface and MAC address, and are announced"
    if new.priority < old.priority:
        yield (
            f"if MASTER here: a peer with a priority above {new.priority} takes over, unless it has nopreempt"
        )
    elif new.priority > old.priority and not new.nopreempt:
        yield f"if BACKUP here: it takes over from a master with a priority below {new.priority}"
    # What a receiver checks before it takes an advert (features 16.5); addresses are not among it.
    differing = [
        word
        for word, differs in (
            ("version", old.version != new.version),
            ("authentication", _authentication(old) != _authentication(new)),
            ("multicast group", old.mcast_group != new.mcast_group),
            ("unicast peers", old.unicast_peers != new.unicast_peers),
            ("checksum form", (old.checksum, old.checksum_strict) != (new.checksum, new.checksum_strict)),
            ("advert_int", old.advert_interval_us != new.advert_interval_us and new.version == 2),
        )
        if differs
    ]
    if differing:
        yield (
            f"until every node has the new {' and '.join(differing)} they don't take each other's adverts, "
            "and two can be MASTER"
        )


def of_new_real_server(server: RealServer) -> str:
    """When it gets connections."""
    if not server.checks:
        return "a new real server without checks counts as up"
    if any(use.alpha for use in server.checks):
        return "a new real server with alpha stays out until its checks have passed"
    return "a new real server enters the table at once, before its first check"


def of_new_check(check: Check) -> str:
    """When it is probed first."""
    within_s = (_FIRST_PROBE_US + check.warmup_us) / 1e6
    return f"a new check is unknown until its first probe, within {within_s:g} s"


def _master_down_interval_us(instance: VrrpInstance) -> int:
    """RFC 3768 6.1, RFC 9568 6.1; the skew of version 2 is a part of a second."""
    scale_us = 1_000_000 if instance.version == 2 else instance.advert_interval_us
    skew_us = (256 - instance.priority) * scale_us // 256
    return instance.down_timer_adverts * instance.advert_interval_us + skew_us


def _authentication(instance: VrrpInstance) -> tuple[object, object]:
    """What a receiver compares; who has both keys of a rollover hears either."""
    auth_hmac = instance.auth_hmac
    keys = None if auth_hmac is None else (auth_hmac.keys, auth_hmac.mode)
    return instance.authentication, keys
