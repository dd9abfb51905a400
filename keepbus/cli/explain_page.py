"""A transition and what followed it, as `keepbus explain` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepbus.cli.gist import exit_words, mood
from keepbus.cli.journal import Findings
from keepbus.cli.story import Chapter, Followed, Held, Now
from keepbus.cli.terminal import Paint, clean, clock, duration, wrap
from keepbus.contracts import notify, vrrp
from keepbus.contracts.schema import to_plain

_WHAT = {
    Held: "addresses",
    vrrp.AddressChanged: "address",
    vrrp.HoldingChanged: "route or rule",
    vrrp.Resumed: "resumption",
    vrrp.PriorityChanged: "priority",
    vrrp.Conflict: "conflict",
    notify.ScriptRun: "script",
}
_LABEL_COLUMNS = 10
_OFFSET_COLUMNS = 7


def shortcomings(findings: Findings, paint: Paint) -> Iterator[str]:
    """The last lines of a story: what its journal lacks."""
    sentences = findings.sentences()
    if sentences:
        yield ""
    for sentence in sentences:
        yield paint(sentence, "yellow")


def followed_json(chapter: Chapter) -> list[dict[str, Any]]:
    """What followed, as plain data."""
    return [{"at": at_ns, "what": _WHAT[type(body)], **to_plain(body)} for at_ns, body in chapter.followed]


def now_words(now: Now | None, now_ns: int, paint: Paint) -> str:
    """State, since when, priority or members; empty without a state."""
    if now is None:
        return ""
    state = paint(now.state.value, mood(now.state.value), "bold")
    what = (
        f"priority {now.effective_priority}"
        if isinstance(now, vrrp.Instance)
        else f"sync group of {clean(', '.join(now.members))}"
    )
    return f"{state} for {duration(now_ns - now.since_ns)}, {what}"


def chapter_lines(
    chapter: Chapter, now_ns: int, paint: Paint, width: int | None, *, at_ns: int = 0, who: str = ""
) -> Iterator[str]:
    """at_ns stands for the moment that the node wrote; who is the node, where there are several."""
    step = chapter.transition
    before, after = step.from_state.value, step.to_state.value
    moment = clock(at_ns or step.at_ns, now_ns)
    change = f"{paint(before, 'dim')} → {paint(after, mood(after), 'bold')}"
    number = paint(f"transition {step.number}", "dim")
    yield "  ".join(word for word in (moment, who, change, number) if word)
    yield from labelled("because", clean(step.cause), paint, width)
    for name, value in step.inputs.items():
        yield from labelled("", clean(_input(name, value)), paint, width)
    label = "then"
    for followed_ns, body in chapter.followed:
        text, style = _followed(body)
        late = duration(max(0, followed_ns - step.at_ns))
        yield from labelled(label, f"+{late:<{_OFFSET_COLUMNS}} {clean(text)}", paint, width, *style)
        label = ""


def _input(name: str, value: str) -> str:
    """A value that decided, in words: `wait_us` `3414063` is `wait: 3.4 s`."""
    if name.endswith("_us") and value.isdecimal():
        name, value = name.removesuffix("_us"), duration(int(value) * 1000)
    return f"{name.replace('_', ' ')}: {value}"


def labelled(label: str, text: str, paint: Paint, width: int | None, *style: str) -> Iterator[str]:
    """The text beside a label, wrapped."""
    indent = " " * (_LABEL_COLUMNS + 2)
    for index, line in enumerate(wrap(text, width, first=indent, rest=indent + "  ")):
        margin = f"  {label.ljust(_LABEL_COLUMNS)}" if index == 0 else indent
        yield paint(margin, "dim") + paint(line[len(indent) :], *style)


def _followed(body: Followed) -> tuple[str, tuple[str, ...]]:
    """What followed in words, and the style of what went wrong."""
    if isinstance(body, Held):
        addresses = " ".join(body.addresses) or "no addresses"
        return f"{'holds' if body.held else 'holds no more'} {addresses}", ()
    if isinstance(body, vrrp.AddressChanged):
        detail = f": {body.detail}" if body.detail else ""
        bad = body.action in ("failed", "lost", "expired", "kept", "claimed")
        return f"{body.address} {body.action} on {body.interface}{detail}", ("red",) if bad else ()
    if isinstance(body, vrrp.HoldingChanged):
        detail = f": {body.detail}" if body.detail else ""
        return f"{body.holding} {body.action}{detail}", () if body.action == "restored" else ("red",)
    if isinstance(body, vrrp.PriorityChanged):
        return body.cause, ()
    if isinstance(body, vrrp.Resumed):
        return f"a new process went on, silent for {duration(body.silent_us * 1000)}", ("yellow",)
    if isinstance(body, vrrp.Conflict):
        return body.detail, () if body.phase is vrrp.ConflictPhase.ENDED else ("red",)
    return _script(body)


def _script(body: notify.ScriptRun) -> tuple[str, tuple[str, ...]]:
    user = f" as {body.user}" if body.user else ""
    late = ", late" if body.late else ""
    limit = " after its time limit" if body.timed_out else ""
    error = f": {body.error}" if body.error else ""
    how = f"{exit_words(body.exit_status)}{limit} in {duration(body.took_us * 1000)}{late}{error}"
    style = ("red",) if body.exit_status else ()
    return f"{body.script}{user} {how}  ({' '.join(body.command)})", style
