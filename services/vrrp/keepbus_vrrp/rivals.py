"""Other masters on the wire: who held the addresses from when to when, and whether this one is heard at all.

Law of this file: an account is opened by the first lower or equal advert that reaches a master and closed
when its sender has been silent for three of its intervals. A healthy network closes it after one or two
adverts, because the other hears this master and yields. A rival that goes on for three intervals although
this master sends does not hear it: that is an alarm (reliability R-L11), and by `one_way_yield` a reason to
yield.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.contracts import vrrp as contracts
from keepbus.contracts.vrrp import ConflictPhase
from keepbus.runtime.machine import Log, Publish
from keepbus_vrrp import publication
from keepbus_vrrp.family import text
from keepbus_vrrp.packet import Advert
from keepbus_vrrp.sentences import seconds
from keepbus_vrrp.timers import NS_PER_US, Timer

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance

_INTERVALS = 3
_MOST_RIVALS = 8
"""A forger may invent as many as there are addresses."""


class _Rival:
    """One account. Moments are CLOCK_BOOTTIME nanoseconds."""

    __slots__ = ("adverts", "began_at_ns", "interval_us", "last_at_ns", "priority", "unheard")

    def __init__(self, at_ns: int) -> None:
        self.began_at_ns = at_ns
        self.last_at_ns = at_ns
        self.priority = 0
        self.interval_us = 0
        self.adverts = 0
        self.unheard = False
        """It does not hear this master: the alarm was given."""

    @property
    def ends_at_ns(self) -> int:
        return self.last_at_ns + _INTERVALS * self.interval_us * NS_PER_US


class Rivals:
    """The accounts of one instance."""

    __slots__ = ("_instance", "_open", "_timer")

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._open: dict[bytes, _Rival] = {}
        self._timer = Timer(self._look)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who else is master now."""
        return tuple(map(text, self._open))

    @property
    def unheard(self) -> bool:
        """True while one of them shows that it does not hear this master."""
        return any(rival.unheard for rival in self._open.values())

    def heard(self, advert: Advert, at_ns: int) -> bool:
        """Another master's advert reached this one; True when this master has to yield for it."""
        instance = self._instance
        rival = self._open.get(advert.source)
        begins = rival is None
        if rival is None:
            if len(self._open) >= _MOST_RIVALS:
                return False
            rival = self._open[advert.source] = _Rival(at_ns)
        rival.last_at_ns = max(at_ns, rival.last_at_ns)
        rival.priority, rival.interval_us = advert.priority, advert.interval_us
        rival.adverts += 1
        if begins:
            self._begin(advert.source, rival)
        elif not rival.unheard and self._is_deaf(rival):
            rival.unheard = True
            self._tell(
                ConflictPhase.UNHEARD,
                advert.source,
                rival,
                f"goes on as master after {rival.adverts} adverts: it does not hear this router. "
                "Look for a cut or a filter in this direction, or for a switch that forgets multicast",
            )
            instance.publish()
        timer_at_ns = min(each.ends_at_ns for each in self._open.values())
        instance.turn.timers.arm(self._timer, timer_at_ns)
        return rival.unheard and instance.config.one_way_yield_us > 0

    def leave(self) -> None:
        """This router is not master any more: close every account."""
        for source in list(self._open):
            self._close(source, "is not alone any more: this router is not master now")
        self._instance.turn.timers.cancel(self._timer)

    def _is_deaf(self, rival: _Rival) -> bool:
        """It has had three intervals and three adverts, and ours left."""
        instance = self._instance
        interval_us = max(rival.interval_us, instance.terms.interval_us)
        age_us = (rival.last_at_ns - rival.began_at_ns) // NS_PER_US
        return rival.adverts > _INTERVALS and age_us >= _INTERVALS * interval_us and not instance.lease.error

    def _look(self, _due_at_ns: int) -> None:
        now_ns = self._instance.turn.now_ns
        for source, rival in list(self._open.items()):
            if rival.ends_at_ns <= now_ns:
                self._close(source, "is not master any more")
                self._acquit(rival)
        if self._open:
            self._instance.turn.timers.arm(
                self._timer, min(rival.ends_at_ns for rival in self._open.values())
            )
        self._instance.publish()

    def _begin(self, source: bytes, rival: _Rival) -> None:
        """Numbered, too (N2): peers' systems that were told of the other must learn who won."""
        instance, what = self._instance, "is master too; the addresses are announced again"
        self._tell(ConflictPhase.BEGAN, source, rival, what)
        instance.note(
            f"{text(source)} (priority {rival.priority}) {what}",
            {"master_address": text(source), "master_priority": str(rival.priority)},
        )
        instance.remember()
        instance.turn.effects.append(publication.transitioned(instance))
        instance.publish()

    def _close(self, source: bytes, why: str) -> None:
        rival = self._open.pop(source)
        lasted = seconds((rival.last_at_ns - rival.began_at_ns) // NS_PER_US)
        adverts = f"{rival.adverts} advert{'s' * (rival.adverts != 1)}"
        self._tell(ConflictPhase.ENDED, source, rival, f"{why}; it was for {lasted}, {adverts}")

    def _acquit(self, rival: _Rival) -> None:
        """What was claimed as long as it was master was its claim, and ended with that. Anybody else's comes
        again."""
        claims = self._instance.claims
        for key in [key for key, claim in claims.items() if claim.last_at_ns >= rival.began_at_ns]:
            del claims[key]

    def _tell(self, phase: ConflictPhase, source: bytes, rival: _Rival, what: str) -> None:
        instance = self._instance
        turn = instance.turn
        detail = f"{text(source)} (priority {rival.priority}) {what}"
        ended = phase is ConflictPhase.ENDED
        level = "info" if ended else "error" if phase is ConflictPhase.UNHEARD else "warning"
        turn.effects.append(
            Publish(
                contracts.Conflict(
                    instance=instance.config.name,
                    phase=phase,
                    address=text(source),
                    priority=rival.priority,
                    own_priority=instance.effective_priority,
                    master_since_ns=instance.since_ns,
                    began_ns=rival.began_at_ns + turn.wall_offset_ns,
                    ended_ns=rival.last_at_ns + turn.wall_offset_ns if ended else 0,
                    adverts=rival.adverts,
                    detail=detail,
                )
            )
        )
        turn.effects.append(Log(level, f"{instance.config.name}: {detail}"))
