"""What an instance tracks, and what that makes of its priority (features 7, 5.5; conformance P4, P5, I6).

Law of this file: the last verdict that was heard counts, however old; what was never heard counts for
nothing. Scripts, processes and files are watched by checker and heard on the bus, BFD sessions by whoever
publishes them; interfaces are seen here, because the failover path never crosses the bus.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from keepbus.config.model.tracking import Track, TrackerKind
from keepbus.config.model.vrrp import VrrpInstance
from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import Tracker, Verdict
from keepbus.contracts.message import Message
from keepbus.contracts.vrrp import Tracked, VrrpState
from keepbus_vrrp import publication, record
from keepbus_vrrp.record import Heard
from keepbus_vrrp.timers import NS_PER_US, OWNER_PRIORITY

if TYPE_CHECKING:
    from keepbus_vrrp.events import Memory
    from keepbus_vrrp.instance import Instance
    from keepbus_vrrp.turn import Turn

_MOST_PRIORITY, _LEAST_PRIORITY = 254, 1
_FAULT_VALUE, _MOST_VALUE = -254, 253
_LONGEST_DETAIL = 120
# Until these are heard for the first time an instance with one of weight 0 does not begin.
_AWAITED = (TrackerKind.SCRIPT, TrackerKind.PROCESS, TrackerKind.FILE)
TOPICS = (f"{Tracker.TOPIC}/", f"{Session.TOPIC}/")
"""Prefixes that vrrp listens to."""


class Tracking:
    """One instance's trackers as they are now."""

    __slots__ = ("faults", "held", "parts", "priority", "reason", "waits")

    def __init__(self) -> None:
        self.priority = 0
        """The effective one."""
        self.parts: tuple[Tracked, ...] = ()
        self.faults: tuple[str, ...] = ()
        """Why the instance must not take part, a sentence each."""
        self.waits = ""
        """What was never heard and must be before the instance begins; empty: nothing."""
        self.held = False
        """The instance is in Initialize for that reason."""
        self.reason = ""
        """What changed the priority last, one sentence."""

    def weigh(self, config: VrrpInstance, turn: Turn) -> None:
        """Take the verdicts of now."""
        heard = [(track, _look(track, turn)) for track in config.trackers]
        self.parts = tuple(_part(track, verdict) for track, verdict in heard)
        self.faults = tuple(
            _fault(track, verdict)
            for track, verdict in heard
            if verdict is not None and _is_fault(track, verdict)
        )
        self.waits = next(
            (
                f"{track.kind} {track.name}"
                for track, verdict in heard
                if verdict is None and not track.weight and track.kind in _AWAITED
            ),
            "",
        )
        self.priority = effective_priority(config.priority, (part.contribution for part in self.parts))


def effective_priority(base: int, contributions: Iterable[int]) -> int:
    """P4: within 1 to 254, and an owner's is never changed."""
    if base == OWNER_PRIORITY:
        return base
    return min(max(base + sum(contributions), _LEAST_PRIORITY), _MOST_PRIORITY)


def contribution(track: Track, *, up: bool, value: int) -> int:
    """What a tracker adds to the priority: the table of features 7, and 7.3 for files."""
    sign = -1 if track.reverse else 1
    if track.kind is TrackerKind.FILE:
        return min(sign * track.weight * value, _MOST_VALUE)
    counts = up if track.weight > 0 else not up
    return sign * track.weight if counts else 0


def hear(message: Message, turn: Turn) -> tuple[str, str] | None:
    """Note what a message says of a tracker; its kind and name when that is news. What is withdrawn holds."""
    body = message.body
    if isinstance(body, Tracker):
        up = None if body.verdict is Verdict.UNKNOWN else body.verdict is Verdict.UP
        value = body.value if body.kind == TrackerKind.FILE else 0
        detail = "" if body.evidence is None else body.evidence.received
        heard = Heard(body.kind, body.name, up, value, body.since_ns, detail[:_LONGEST_DETAIL])
    elif isinstance(body, Session):
        detail = body.detail[:_LONGEST_DETAIL]
        heard = Heard(TrackerKind.BFD, body.name, body.up, 0, body.since_ns, detail)
    else:
        return None
    key = heard.kind, heard.name
    before = turn.verdicts.get(key)
    if before is not None and heard.up is None:
        return None
    turn.verdicts[key] = heard
    if before is not None and (before.up, before.value) == (heard.up, heard.value):
        return None
    return key


def recall(memories: Iterable[Memory], turn: Turn) -> None:
    """Go on with the verdicts that an earlier process of this boot had heard: a crash is no failover."""
    for memory in memories:
        found = record.load(memory[0])
        if found is None or found.boot_id != turn.boot_id or found.state is VrrpState.STOP:
            continue
        for heard in found.verdicts:
            turn.verdicts.setdefault((heard.kind, heard.name), heard)


def forget(instances: Iterable[Instance], turn: Turn) -> None:
    """Drop what nobody tracks any more."""
    tracked = {(track.kind, track.name) for instance in instances for track in instance.config.trackers}
    for key in turn.verdicts.keys() - tracked:
        del turn.verdicts[key]


def look(instance: Instance) -> None:
    """Weigh anew, and act on another priority; faults and waits are for the caller."""
    tracking = instance.tracking
    if not instance.config.trackers:
        return
    parts, before, skew_us = tracking.parts, tracking.priority, instance.skew_time_us
    tracking.weigh(instance.config, instance.turn)
    if tracking.parts == parts:
        return
    changed = "; ".join(
        _words(new)
        for old, new in zip(parts, tracking.parts, strict=True)
        if (old.verdict, old.contribution) != (new.verdict, new.contribution)
    )
    if tracking.priority != before:
        tracking.reason = f"{changed}: priority {before} → {tracking.priority}"
        move(instance, skew_us)
        instance.turn.telling.say(*publication.priority(instance, before))
    if instance.state is not VrrpState.INIT:
        instance.remember()
        instance.publish()


def move(instance: Instance, skew_before_us: int) -> None:
    """A backup's timer moves by the difference of the skews (features 5.5), a master's next advert has the
    new priority (P5)."""
    instance.derive()
    instance.turn.other_pace = True
    if instance.state is VrrpState.MASTER:
        instance.take_master(instance.source, instance.effective_priority)
    elif instance.state is VrrpState.BACKUP:
        later_us = instance.skew_time_us - skew_before_us
        instance.wait_us += later_us
        instance.turn.timers.arm(instance.timer, instance.timer.due_at_ns + later_us * NS_PER_US)


def hold(instance: Instance) -> None:
    """Stay in Initialize until all was heard that must be: no transition (features 5.3)."""
    cause = f"waits for the first word of {instance.tracking.waits}"
    instance.tracking.held = True
    if cause != instance.cause:
        instance.cause, instance.since_ns = cause, instance.turn.wall_ns
        instance.publish()


def because(instance: Instance) -> str:
    """`; ` and why the priority is not the configured one; empty when it is."""
    tracking = instance.tracking
    if tracking.priority == instance.config.priority or not tracking.reason:
        return ""
    return f"; {tracking.reason}"


def _look(track: Track, turn: Turn) -> Heard | None:
    if track.kind is not TrackerKind.INTERFACE:
        return turn.verdicts.get((track.kind, track.name))
    link = turn.links.by_name(track.name)
    if link is None:
        return Heard(track.kind, track.name, False, 0, 0, "does not exist")
    up = turn.links.seems_up(link)
    return Heard(track.kind, track.name, up, 0, 0, "is up" if up else "is down")


def _part(track: Track, heard: Heard | None) -> Tracked:
    if heard is None or heard.up is None:
        return Tracked(
            kind=track.kind,
            name=track.name,
            verdict="unknown",
            weight=track.weight,
            reverse=track.reverse,
            detail="" if heard is None else heard.detail,
        )
    fault = _is_fault(track, heard)
    return Tracked(
        kind=track.kind,
        name=track.name,
        verdict="up" if heard.up and not (fault and track.kind is TrackerKind.FILE) else "down",
        weight=track.weight,
        reverse=track.reverse,
        contribution=0 if fault else contribution(track, up=heard.up, value=heard.value),
        since_ns=heard.since_ns,
        detail=heard.detail,
    )


def _is_fault(track: Track, heard: Heard) -> bool:
    if heard.up is None:
        return False
    if track.kind is TrackerKind.FILE:
        if not track.weight:
            return (heard.value != 0) is not track.reverse
        return contribution(track, up=heard.up, value=heard.value) <= _FAULT_VALUE
    return not track.weight and heard.up is track.reverse


def _fault(track: Track, heard: Heard) -> str:
    return _words(_part(track, heard)) + (", which is reversed" if track.reverse else "")


def _words(part: Tracked) -> str:
    """`script chk failed (exit status 1)`, `interface eth1 is down`, `file load (value 7)`."""
    what = f"{part.kind} {part.name}"
    if part.kind == TrackerKind.INTERFACE:
        return f"{what} {part.detail}"
    if part.kind == TrackerKind.SCRIPT:
        what += " succeeds" if part.verdict == "up" else " failed"
    elif part.kind != TrackerKind.FILE:
        what += f" is {part.verdict}"
    return f"{what} ({part.detail})" if part.detail else what
