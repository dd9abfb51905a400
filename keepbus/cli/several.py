"""Several nodes' story as `keepbus explain` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepbus.cli.explain_page import chapter_lines, followed_json, labelled, now_words, shortcomings
from keepbus.cli.journal import Findings
from keepbus.cli.skew import Skew
from keepbus.cli.terminal import Paint, clean, clock, duration, plural, wrap
from keepbus.cli.together import Finding, Led, Scene, Together
from keepbus.contracts.schema import to_plain


def as_json(together: Together) -> dict[str, Any]:
    """The story as plain data; `at` is on the clock of the first node."""
    return {
        "instance": together.name,
        "nodes": {
            node: {"now": to_plain(story.now), "clock": _skew_json(together.skews.get(node))}
            for node, story in together.stories.items()
        },
        "transitions": [
            {
                "node": scene.node,
                "at": scene.at_ns,
                "life": scene.chapter.life,
                "transition": to_plain(scene.chapter.transition),
                "led": None
                if scene.led is None
                else {
                    "node": scene.led.node,
                    "life": scene.led.chapter.life,
                    "number": scene.led.chapter.transition.number,
                    "words": scene.led.words,
                    "before_ns": scene.led.before_ns,
                },
                "followed": followed_json(scene.chapter),
            }
            for scene in together.scenes
        ],
        "findings": [
            {
                "what": "two masters" if found.nodes else "no master",
                "nodes": list(found.nodes),
                "from": found.from_ns,
                "until": found.until_ns,
            }
            for found in together.findings
        ],
    }


def _skew_json(skew: Skew | None) -> dict[str, int] | None:
    if skew is None:
        return None
    return {"ahead_ns": skew.ahead_ns, "within_ns": skew.within_ns, "adverts": skew.adverts}


def as_text(
    together: Together, findings: Findings, now_ns: int, paint: Paint, width: int | None
) -> Iterator[str]:
    """The lines for a person, oldest first."""
    for node, story in together.stories.items():
        state = now_words(story.now, now_ns, paint) or paint("from its journal alone", "yellow")
        yield f"{paint(clean(together.name), 'bold')} on {paint(clean(node), 'bold')}: {state}"
    reference = next(iter(together.stories))
    for node in together.stories:
        if node != reference:
            text, style = _clock(reference, node, together.skews.get(node))
            for line in wrap(text, width, rest="  "):
                yield paint(line, style)
    longest = max(len(clean(node)) for node in together.stories)
    first_ns = together.scenes[0].at_ns if together.scenes else 0
    told: list[tuple[int, Scene | Finding]] = [
        *((scene.at_ns, scene) for scene in together.scenes),
        *((found.from_ns, found) for found in together.findings if found.from_ns >= first_ns),
    ]
    for _, each in sorted(told, key=lambda item: item[0]):
        yield ""
        if isinstance(each, Finding):
            yield from wrap(_finding(each, now_ns), width, rest="  ")
        else:
            yield from _scene(each, longest, now_ns, paint, width)
    yield from shortcomings(findings, paint)


def _clock(reference: str, node: str, skew: Skew | None) -> tuple[str, str]:
    one, other = clean(node), clean(reference)
    if skew is None:
        text = (
            f"clocks: nothing tells how {one}'s goes beside {other}'s, because neither wrote when it heard "
            "the other become master or leave; their times stand as each wrote them"
        )
        return text, "yellow"
    direction = "ahead of" if skew.ahead_ns >= 0 else "behind"
    text = (
        f"clocks: {one}'s is {duration(abs(skew.ahead_ns))} {direction} {other}'s, within "
        f"{duration(skew.within_ns)}, by {plural(skew.adverts, 'advert')}; all times are {other}'s"
    )
    return text, "dim"


def _scene(scene: Scene, longest: int, now_ns: int, paint: Paint, width: int | None) -> Iterator[str]:
    name = paint(clean(scene.node).ljust(longest), "bold")
    first, *rest = chapter_lines(scene.chapter, now_ns, paint, width, at_ns=scene.at_ns, who=name)
    yield first
    if scene.led is not None:
        yield from labelled("after", _led(scene.led), paint, width, "cyan")
    yield from rest


def _led(led: Led) -> str:
    step = led.chapter.transition
    return (
        f"{clean(led.node)} {led.words} {duration(led.before_ns)} before, by its transition {step.number}: "
        f"{clean(step.cause)}"
    )


def _finding(found: Finding, now_ns: int) -> str:
    until = clock(found.until_ns, now_ns)
    lasted = duration(found.until_ns - found.from_ns)
    who = f"two masters, {' and '.join(map(clean, found.nodes))}," if found.nodes else "nobody is master"
    return f"{clock(found.from_ns, now_ns)}  ! {who} for {lasted}, until {until}"
