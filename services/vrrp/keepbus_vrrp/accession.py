"""How a reign began, and what follows for its end and its beginning (decision 0114).

After a cut the neighbours may believe the worse one of two masters. The better one puts them right when it
hears the other; so who was made master by silence says one more word when it yields. The same word from
whom a new master has just preempted is no sign of a second master.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from keepbus_vrrp.effects import Advertise
from keepbus_vrrp.timers import NS_PER_US

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance


class Accession(NamedTuple):
    """Of the reign that lasts, or of the last one."""

    predecessor: bytes = b""
    """Who was master before; empty when nobody was known."""
    from_silence: bool = False
    """Nobody was heard any more: a cut may be the reason, and somebody behind it be master still."""


def of(instance: Instance) -> Accession:
    """Of the reign that begins now."""
    return Accession(instance.master_source, from_silence=not instance.wait_cause)


def say_last_word(instance: Instance) -> None:
    """Before this master follows a better one: one more advert, if it is to send one. It proves nothing any
    more, so that the lease is not renewed."""
    configured = instance.config.higher_prio_send_advert
    if instance.accession.from_silence if configured is None else configured:
        instance.counters.adverts_sent += 1
        copies = instance.adverts.of(instance.effective_priority, instance.source, instance.turn.wall_ns)
        instance.turn.effects.append(Advertise(instance.key, instance.ear.way_out, copies))


def is_last_word(instance: Instance, source: bytes, at_ns: int) -> bool:
    """True for an advert of the predecessor that this new master's first one may have called forth."""
    settled_at_ns = instance.entered_at_ns + instance.terms.interval_us * NS_PER_US
    return source == instance.accession.predecessor and at_ns < settled_at_ns
