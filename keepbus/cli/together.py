"""Several nodes' stories of one instance as one: on one clock, with what led to what elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from keepbus.cli.journal import Entry
from keepbus.cli.skew import Notes, Skew, beside
from keepbus.cli.story import Chapter, Now, Story, tell
from keepbus.contracts import vrrp

_MASTER = vrrp.VrrpState.MASTER
_NS_PER_US = 1000
_UNKNOWN_NS = 1_000_000_000
"""How far two clocks may be apart when nothing was found out about it."""
_HANDOVER_NS = 5_000_000_000
"""A master that yields does so for somebody who became master within this time before."""


@dataclass(frozen=True, slots=True)
class Led:
    """A transition on another node that led to this one."""

    node: str
    chapter: Chapter
    words: str
    """`left MASTER`, `became MASTER`, `was MASTER, too`."""
    before_ns: int
    """How long before."""


@dataclass(slots=True)
class Scene:
    """A node's transition on the common clock."""

    node: str
    at_ns: int
    chapter: Chapter
    led: Led | None = None


@dataclass(frozen=True, slots=True)
class Reign:
    """From when to when a node was master by its own account, on the common clock."""

    node: str
    chapter: Chapter
    """By which it began."""
    from_ns: int
    until_ns: int | None
    """None when nobody wrote how it ended."""

    def covers(self, at_ns: int, doubt_ns: int) -> bool:
        """True when the moment is surely within."""
        return self.until_ns is not None and self.from_ns + doubt_ns < at_ns < self.until_ns - doubt_ns


@dataclass(frozen=True, slots=True)
class Finding:
    """Two masters at once, or nobody, longer than the clocks are uncertain."""

    from_ns: int
    until_ns: int
    nodes: tuple[str, ...]
    """The masters; none: nobody was."""


@dataclass(slots=True)
class Account:
    """What one node has to say."""

    node: str
    entries: list[Entry]
    now: Now | None = None
    """On its bus; None when it does not run or only its journal is here."""


@dataclass(slots=True)
class Together:
    """All of it; the common clock is that of the first node."""

    name: str
    stories: dict[str, Story]
    skews: dict[str, Skew]
    """A node is missing when nothing tells how its clock goes: its times stand as it wrote them."""
    scenes: list[Scene] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def keep(self, number: int) -> None:
        """Only the last transitions of each node, of which there are so many; 0: all."""
        if number <= 0:
            return
        for node in self.stories:
            of_node = [scene for scene in self.scenes if scene.node == node]
            dropped = set(map(id, of_node[:-number]))
            self.scenes = [scene for scene in self.scenes if id(scene) not in dropped]


def join(name: str, accounts: list[Account], now_ns: int) -> Together:
    """One story of the accounts, of which there is at least one. now_ns is this machine's wall clock."""
    stories = {each.node: tell(name, each.entries, each.now) for each in accounts}
    notes = {each.node: _notes(stories[each.node], each.entries) for each in accounts}
    together = Together(name, stories, beside(accounts[0].node, notes))
    reigns: list[Reign] = []
    for node, story in stories.items():
        skew = together.skews.get(node)
        ahead_ns = 0 if skew is None else skew.ahead_ns
        together.scenes += [Scene(node, each.transition.at_ns - ahead_ns, each) for each in story.chapters]
        reigns += _reigns(node, story, ahead_ns, now_ns)
    together.scenes.sort(key=lambda scene: scene.at_ns)
    doubt_ns = _doubt_ns(together)
    for scene in together.scenes:
        if _leaves(scene):
            scene.led = _yielded(scene, together.scenes, doubt_ns)
    for scene in together.scenes:
        if _becomes(scene):
            scene.led = _succeeded(scene, together.scenes, reigns, doubt_ns)
    together.findings = sorted(
        [*_conflicts(reigns, doubt_ns), *_vacancies(reigns, doubt_ns)], key=lambda found: found.from_ns
    )
    return together


def _doubt_ns(together: Together) -> int:
    return max(
        together.skews[node].within_ns * 2 if node in together.skews else _UNKNOWN_NS
        for node in together.stories
    )


def _notes(story: Story, entries: Iterable[Entry]) -> Notes:
    """What the node did and heard."""
    notes = Notes()
    bodies = [(entry.at_ns, entry.body) for entry in entries if isinstance(entry.body, vrrp.Instance)]
    if isinstance(story.now, vrrp.Instance):
        bodies.append((story.now.since_ns, story.now))
    last = ""
    for at_ns, body in bodies:
        if body.state is _MASTER and body.master_address:
            notes.addresses.add(body.master_address)
        backup = body.state is vrrp.VrrpState.BACKUP
        # Who was no backup before may hear of a master that has been one for long.
        if backup and last and body.master_address not in ("", last):
            notes.heard.setdefault(("became", body.master_address), set()).add(at_ns)
        last = body.master_address if backup else ""
    for chapter in story.chapters:
        step = chapter.transition
        if step.from_state is step.to_state:
            continue
        source = step.inputs.get("master_address", "")
        if step.to_state is _MASTER:
            notes.did.setdefault("became", set()).add(step.at_ns)
            age_us = step.inputs.get("last_advert_age_us", "")
            if " released " in step.cause and age_us.isdecimal() and source:
                heard_ns = step.at_ns - int(age_us) * _NS_PER_US
                notes.heard.setdefault(("left", source), set()).add(heard_ns)
        elif step.from_state is _MASTER:
            notes.did.setdefault("left", set()).add(step.at_ns)
            if source:
                notes.heard.setdefault(("became", source), set()).add(step.at_ns)
    return notes


def _reigns(node: str, story: Story, ahead_ns: int, now_ns: int) -> Iterator[Reign]:
    began: Chapter | None = None

    def reign(until_ns: int | None) -> Reign:
        assert began is not None
        return Reign(node, began, began.transition.at_ns - ahead_ns, until_ns)

    for chapter in story.chapters:
        step = chapter.transition
        if began is not None and chapter.life != began.life:
            yield reign(None)
            began = None
        if step.to_state is _MASTER:
            began = began or chapter
        elif began is not None:
            yield reign(step.at_ns - ahead_ns)
            began = None
    if began is not None:
        goes_on = story.now is not None and story.now.life == began.life
        yield reign(now_ns if goes_on else None)


def _yielded(scene: Scene, scenes: list[Scene], doubt_ns: int) -> Led | None:
    """For whom a master became a backup."""
    if scene.chapter.transition.to_state is not vrrp.VrrpState.BACKUP:
        return None
    near = [
        each
        for each in scenes
        if each.node != scene.node
        and _becomes(each)
        and scene.at_ns - _HANDOVER_NS <= each.at_ns <= scene.at_ns + doubt_ns
    ]
    return _link(near[-1], scene, "became MASTER") if near else None


def _succeeded(scene: Scene, scenes: list[Scene], reigns: list[Reign], doubt_ns: int) -> Led | None:
    """Whom a master followed, or whom it stands beside."""
    left = [
        each
        for each in scenes
        if each.node != scene.node
        and _leaves(each)
        and each.at_ns <= scene.at_ns + doubt_ns
        and not (each.led is not None and each.led.chapter is scene.chapter)
    ]
    came = [each.at_ns for each in scenes if _becomes(each) and each.at_ns < scene.at_ns]
    if left and left[-1].at_ns + doubt_ns >= max(came, default=0):
        return _link(left[-1], scene, "left MASTER")
    for reign in reigns:
        if reign.node != scene.node and reign.covers(scene.at_ns, doubt_ns):
            before_ns = scene.at_ns - reign.from_ns
            return Led(reign.node, reign.chapter, "was MASTER, too: it became so", before_ns)
    return None


def _becomes(scene: Scene) -> bool:
    step = scene.chapter.transition
    return step.to_state is _MASTER and step.from_state is not _MASTER


def _leaves(scene: Scene) -> bool:
    step = scene.chapter.transition
    return step.from_state is _MASTER and step.to_state is not _MASTER


def _link(cause: Scene, scene: Scene, words: str) -> Led:
    return Led(cause.node, cause.chapter, words, max(0, scene.at_ns - cause.at_ns))


def _conflicts(reigns: list[Reign], doubt_ns: int) -> Iterator[Finding]:
    """Pairs of reigns that overlap, as far as both ends are known."""
    for index, one in enumerate(reigns):
        for other in reigns[index + 1 :]:
            if one.node == other.node or one.until_ns is None or other.until_ns is None:
                continue
            from_ns = max(one.from_ns, other.from_ns)
            until_ns = min(one.until_ns, other.until_ns)
            if until_ns - from_ns > doubt_ns:
                yield Finding(from_ns, until_ns, (one.node, other.node))


def _vacancies(reigns: list[Reign], doubt_ns: int) -> Iterator[Finding]:
    """Between the end of a reign and the next one, when it is known who was master before."""
    ordered = sorted(reigns, key=lambda reign: reign.from_ns)
    reach: int | None = None
    for reign in ordered:
        if reach is not None and reign.from_ns - reach > doubt_ns:
            yield Finding(reach, reign.from_ns, ())
        if reign.until_ns is None:
            reach = None
        elif reach is None or reign.until_ns > reach:
            reach = reign.until_ns
