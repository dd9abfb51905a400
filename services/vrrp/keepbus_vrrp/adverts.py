"""The adverts of an instance as they leave: some may be sent twice, what has a number is made anew."""

from __future__ import annotations

from keepbus_vrrp.terms import Copies, Guard, Terms


class Adverts:
    """Knows the checksum's form and the numbers of `auth_type AH` and `auth_hmac`."""

    __slots__ = ("_copies", "_kept", "_terms", "guard", "message_sum")

    def __init__(self) -> None:
        self.message_sum = False
        """Learned from the master: checksums leave the pseudo-header out (C5)."""
        self.guard: Guard | None = None
        self._terms: Terms | None = None
        self._copies: Copies = ()
        self._kept = (-1, b"")

    def configure(self, terms: Terms) -> None:
        """Take other terms; numbers that were sent and heard stay."""
        self._terms = terms
        guard = terms.guard()
        if guard is not None and self.guard is not None:
            guard.inherit(self.guard)
        self.guard = guard
        self.forget()

    def forget(self) -> None:
        """Something that adverts depend on has changed."""
        self._copies = ()

    def of(self, priority: int, source: bytes, wall_ns: int) -> Copies:
        """An advert of this priority."""
        assert self._terms is not None
        guard = self.guard
        if guard is not None and guard.signs:
            sequence = guard.next(wall_ns)
            return self._terms.advert(
                priority, source, message_sum=self.sends_message_sum, guard=guard, sequence=sequence
            )
        if not self._copies or self._kept != (priority, source):
            self._kept = priority, source
            self._copies = self._terms.advert(priority, source, message_sum=self.sends_message_sum)
        return self._copies

    @property
    def sends_message_sum(self) -> bool:
        """The form in use: configured, else learned (C5)."""
        assert self._terms is not None
        configured = self._terms.message_sum
        return self.message_sum if configured is None else configured
