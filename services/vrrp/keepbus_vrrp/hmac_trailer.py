"""`auth_hmac`: the trailer of keepalived 2.4.2 and later, HMAC-SHA256 (conformance X1 to X8).

Law of this file: it says nothing of a packet before the tag is verified but "no" (X5), and a check changes
nothing: `accept` moves a replay mark, and only for an advert that passed every check. The wall clock comes
in as an argument; protocol timers do not know it.

A sequence number has 64 bits: seconds of the wall clock (32), fraction (16), counter (16). Numbers are
compared as serial numbers (RFC 1982), so a difference of two is a difference of clocks.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from keepbus_vrrp.refusal import Refused

LENGTH = 28
_TYPE = 1
_HEAD = struct.Struct("!BBHQ")
_TAG_LENGTH = 16
_NO_TAG = bytes(_TAG_LENGTH)
_SOURCE_LENGTH = 16
_SECOND = 1 << 32
_NS_PER_S = 1_000_000_000
_HALF = 1 << 63
_WHOLE = 1 << 64
MOST_MULTICAST_SENDERS = 4


def clock(wall_ns: int) -> int:
    """The sequence number of a moment, its counter zero."""
    seconds, rest_ns = divmod(wall_ns, _NS_PER_S)
    return seconds % _SECOND << 32 | (rest_ns << 16) // _NS_PER_S << 16


def ahead(one: int, other: int) -> int:
    """How far a sequence number is after another: positive when it is newer (X7)."""
    return (one - other + _HALF) % _WHOLE - _HALF


def tag(key: bytes, family: int, source: bytes, message: bytes, head: bytes) -> bytes:
    """16 octets over sender, virtual router, message and the trailer's first 12 octets (X1, X6).

    family is 4 or 6. The checksum counts as zero, so that copies to several peers carry the same tag (U3).
    """
    bound = bytes((family, message[0] >> 4, message[1], 0)) + source.ljust(_SOURCE_LENGTH, b"\0")
    hashed = bound + message[:6] + b"\0\0" + message[8:] + head + _NO_TAG
    return hmac.digest(key, hashed, "sha256")[:_TAG_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`auth_hmac` in octets."""

    keys: Mapping[int, bytes]
    """By key id, 32 to 64 octets each."""
    active_key: int
    window_us: int
    """Allowed difference of clocks; 0: `anti_replay monotonic`, only the order counts."""
    signs: bool
    """False: `mode receive-only`."""
    enforces: bool
    """True: `mode enforce`, a packet without trailer is refused."""
    senders: int = MOST_MULTICAST_SENDERS
    """Of how many senders the last number is remembered."""


class Guard:
    """What one virtual router remembers of numbers, sent and received."""

    __slots__ = ("_marks", "_sent", "_skewed", "_window", "policy", "skews_us")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._window = policy.window_us * _SECOND // 1_000_000
        self._sent: int | None = None
        self._skewed: set[bytes] = set()
        """Sources whose clock is off by more than half the window, as was told (X8)."""
        self._marks: dict[bytes, int] = {}
        """Last accepted number by source, the least recently heard first."""
        self.skews_us: dict[bytes, int] = {}
        """By source: how far its clock was ahead of ours at its last advert, where clocks count (X8)."""

    def check(
        self, family: int, source: bytes, message: bytes, trailer: bytes, wall_ns: int
    ) -> int | Refused | None:
        """The number of a packet whose trailer is good; None when it may come without one and does."""
        if not trailer:
            if self.policy.enforces:
                return Refused("hmac_missing", "no authentication trailer (`mode enforce`)")
            return None
        sequence: int
        type_, key_id, reserved, sequence = _HEAD.unpack_from(trailer)
        if type_ != _TYPE or reserved:
            return Refused("hmac_malformed", f"authentication trailer of type {type_}, 1 expected")
        if self._window and abs(ahead(sequence, clock(wall_ns))) > self._window:
            return Refused("hmac_stale", f"its clock {self._beside(sequence, wall_ns)}")
        key = self.policy.keys.get(key_id)
        if key is None:
            return Refused("hmac_key", f"key {key_id} is not configured here")
        wanted = tag(key, family, source, message, trailer[: _HEAD.size])
        if not hmac.compare_digest(wanted, trailer[_HEAD.size :]):
            return Refused("hmac", f"the authentication does not verify with key {key_id}")
        mark = self._mark(source, wall_ns)
        if mark is not None and ahead(sequence, mark) <= 0:
            return Refused("hmac_replay", "its number is not above the last one: a replay, or late")
        return sequence

    def accept(self, source: bytes, sequence: int, wall_ns: int) -> str:
        """An advert with this number passed every check; what the operator should know, or nothing."""
        self._marks.pop(source, None)
        self._marks[source] = sequence
        if len(self._marks) > self.policy.senders:
            oldest = next(iter(self._marks))
            del self._marks[oldest]
            self._skewed.discard(oldest)
            self.skews_us.pop(oldest, None)
        if self._window:
            self.skews_us[source] = self.skew_us(sequence, wall_ns)
        if abs(ahead(sequence, clock(wall_ns))) * 2 <= self._window or not self._window:
            self._skewed.discard(source)
        elif source not in self._skewed:
            self._skewed.add(source)
            return f"its clock {self._beside(sequence, wall_ns)}; beyond that its adverts are dropped"
        return ""

    @property
    def signs(self) -> bool:
        """Adverts are sent with a trailer."""
        return self.policy.signs

    def inherit(self, other: object) -> None:
        """Go on with the numbers of the guard of another configuration: keys may be rolled over."""
        if isinstance(other, Guard):
            self._sent, self._marks, self._skewed = other._sent, other._marks, other._skewed
            self.skews_us = other.skews_us if self._window else {}

    def reign(self) -> None:
        """Nothing begins anew for a new master."""

    def skew_us(self, sequence: int, wall_ns: int) -> int:
        """How far the sender's clock is ahead of ours; 0 where clocks do not count."""
        return ahead(sequence, clock(wall_ns)) * 1_000_000 // _SECOND if self._window else 0

    def next(self, wall_ns: int) -> int:
        """The number of the next advert: the clock, or one more than the last if that is not newer.

        A sender whose clock stepped back by more than the window would be refused as long as it counts
        on; it begins anew at the clock (X7).
        """
        now = clock(wall_ns)
        sent = self._sent
        if sent is None or ahead(now, sent) > 0 or (self._window and ahead(sent, now) > self._window):
            self._sent = now
        else:
            self._sent = (sent + 1) % _WHOLE
        return self._sent

    def trailer(self, family: int, source: bytes, sequence: int, message: bytes) -> bytes:
        """28 octets to be sent after the message."""
        key_id = self.policy.active_key
        head = _HEAD.pack(_TYPE, key_id, 0, sequence)
        return head + tag(self.policy.keys[key_id], family, source, message, head)

    def _mark(self, source: bytes, wall_ns: int) -> int | None:
        """The last number of a sender; one that is outside the window has expired (X7)."""
        mark = self._marks.get(source)
        if mark is not None and self._window and abs(ahead(mark, clock(wall_ns))) > self._window:
            return None
        return mark

    def _beside(self, sequence: int, wall_ns: int) -> str:
        off_us = self.skew_us(sequence, wall_ns)
        return (
            f"is {abs(off_us) / 1e6:.3f} s {'ahead of' if off_us > 0 else 'behind'} ours, "
            f"{self.policy.window_us / 1e6:g} s are allowed"
        )
