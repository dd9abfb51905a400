"""The proof that an instance is still master: how long it lasts, and what to say when it ran out.

Law of this file: an advert that left renews the proof, nothing else does (reliability R-L1, R-L4). An advert
that is refused takes back what it would have proved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.contracts.vrrp import VrrpState
from keepbus_vrrp.sentences import seconds
from keepbus_vrrp.terms import Terms
from keepbus_vrrp.timers import NS_PER_US

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance


class Lease:
    """One master's book. Times are CLOCK_BOOTTIME nanoseconds, which counts suspends (R-L8)."""

    __slots__ = ("_proven_until_ns", "end_ns", "error")

    def __init__(self) -> None:
        self.end_ns = 0
        """From then on somebody else may have taken over; 0 without a lease."""
        self._proven_until_ns = 0
        """End of the lease before the advert that is on its way now."""
        self.error = ""
        """Why the last advert did not leave."""

    def begin(self, now_ns: int, terms: Terms, *, end_ns: int = 0) -> None:
        """A new master's first advert has a whole lease's time to succeed; who resumes has until end_ns."""
        self.end_ns = self._proven_until_ns = end_ns or now_ns + terms.lease_us * NS_PER_US

    def renew(self, now_ns: int, terms: Terms) -> int:
        """An advert is on its way; the moment after which it must not leave any more."""
        end_ns = now_ns + terms.lease_us * NS_PER_US
        if end_ns != self.end_ns:
            self._proven_until_ns, self.end_ns = self.end_ns, end_ns
        return max(self._proven_until_ns, now_ns + terms.interval_us * NS_PER_US)

    def refuse(self, error: str) -> None:
        """The advert on its way did not leave: what it would have proved is not proved."""
        self.error = error
        self.end_ns = self._proven_until_ns

    def end(self) -> None:
        """The instance is not master any more."""
        self.end_ns = 0
        self.error = ""

    def silent_ns(self, now_ns: int, terms: Terms) -> int:
        """How old the last advert is that left."""
        return now_ns - self.end_ns + terms.lease_us * NS_PER_US

    def step_down_cause(self, now_ns: int, terms: Terms) -> str:
        """Why a master whose lease ran out steps down (R-L7)."""
        silent = seconds(self.silent_ns(now_ns, terms) // NS_PER_US)
        if self.error:
            return f"no advert could be sent for {silent} ({self.error})"
        return (
            f"this process was held up: its last advert is {silent} old, "
            f"longer than the address lease of {seconds(terms.lease_us)}"
        )


def outlived(instance: Instance) -> bool:
    """True for a master that cannot know any more whether somebody else took over (R-L7)."""
    return instance.state is VrrpState.MASTER and instance.turn.now_ns > instance.lease.end_ns


def step_down(instance: Instance) -> None:
    """R-L7: nothing is sent before this."""
    now_ns, terms = instance.turn.now_ns, instance.terms
    silent_us = instance.lease.silent_ns(now_ns, terms) // NS_PER_US
    cause = instance.lease.step_down_cause(now_ns, terms)
    instance.become_backup(cause, instance.master_down_interval_us, {"silent_us": str(silent_us)})
