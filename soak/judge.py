"""Whether a round went as it should. Pure: values in, findings out.

The invariants are those of the simulation, with the bounds of a busy machine: an address is answered for by
one node, never by two but for an instant, never by none longer than a takeover takes; a router moves only
where the trouble gives it a cause; scripts are told of what happened, in order, once; all comes to rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from soak.evidence import Answers, Finding, Round, Size, Step

TOGETHER_S = 0.25
"""Two nodes may answer for so long: one has not yet removed what the other took by right."""
SILENT_S = 0.4
"""Nobody may answer for so long though nothing moves: frames wait on a busy machine."""
TAKEOVER_INTERVALS = 4
"""Three intervals and the skew, which is at most one."""
_TAKEOVER_SLACK_S = 0.8
_GROWTH_KIBIBYTES = 3072
_GROWTH_DESCRIPTORS = 3


def judge(seen: Round) -> list[Finding]:
    """What was not as it should be in a round, worst first."""
    return [
        *_holders(seen),
        *_moves(seen),
        *notifications(seen.steps, seen.told, untold=seen.terms.untold),
        *_rest(seen),
        *(Finding("every failure is told in a sentence", "no traceback in a log", cry) for cry in seen.cries),
        *(Finding("the journal has what happened", "a line for each transition", it) for it in seen.untraced),
    ]


def spans(answers: Answers, from_s: float, until_s: float) -> Iterator[tuple[float, float, frozenset[str]]]:
    """From when to when who answered, within those moments."""
    ends = [at for at, _ in answers[1:]] + [until_s]
    for (at, hosts), end in zip(answers, ends, strict=True):
        begin, stop = max(at, from_s), min(end, until_s)
        if begin < stop:
            yield begin, stop, hosts


def held_up(seen: Round) -> frozenset[str]:
    """Routers that this machine did not let keep their time: a pause was longer than their interval."""
    longest_s = max((end - begin for begin, end in seen.blind), default=0.0)
    return frozenset(each.router for each in seen.watched if longest_s > each.interval_s)


def _holders(seen: Round) -> Iterator[Finding]:
    """R-I1, R-I2, R-I6."""
    terms, excused = seen.terms, held_up(seen)
    settled_s = seen.settled_s if seen.settled_s is not None else seen.until_s
    for each in seen.watched:
        address, interval_s = f"{each.address} ({each.router})", each.interval_s
        takeover_s = TAKEOVER_INTERVALS * interval_s + _TAKEOVER_SLACK_S
        moves = each.router in terms.moves or each.router in excused
        most_silent_s = (takeover_s if moves else SILENT_S) + terms.silent_s + each.slack_s
        most_together_s = TOGETHER_S + terms.together_s
        for begin, end, hosts in spans(seen.answers[each.address], seen.began_s, seen.until_s):
            lasted_s = end - begin - _overlap(begin, end, seen.blind)
            when = f"{lasted_s:.2f} s, from {begin - seen.began_s:+.2f} s on"
            if len(hosts) > 1 and lasted_s > most_together_s:
                # After a cut the two sides hear each other within an interval; until then both are right.
                healed_s = seen.ended_s + 2 * interval_s + TOGETHER_S
                if not (terms.split and begin <= seen.ended_s and end <= healed_s):
                    yield Finding(
                        "one node answers for an address",
                        f"{address}: two at once for {most_together_s:.2f} s at most",
                        f"{' and '.join(sorted(hosts))} for {when}",
                    )
            if not hosts and lasted_s > most_silent_s:
                if terms.dark and end <= settled_s + most_silent_s:
                    continue
                yield Finding(
                    "an address is answered for",
                    f"{address}: silent for {most_silent_s:.2f} s at most",
                    f"nobody answered for {when}",
                )


def _overlap(begin: float, end: float, blind: Sequence[tuple[float, float]]) -> float:
    """How much of a span was blind."""
    covered_s, seen_to = 0.0, begin
    for since, to in sorted(blind):
        covered_s += max(0.0, min(end, to) - max(seen_to, since))
        seen_to = max(seen_to, min(end, to))
    return covered_s


def _moves(seen: Round) -> Iterator[Finding]:
    """R-I5, R-I11: no transition without a cause, and not more than it takes."""
    counted: Counter[tuple[str, str]] = Counter()
    excused = held_up(seen)
    for step in seen.steps:
        begins = (step.from_state, step.to_state) == ("INIT", "BACKUP")
        allowed = step.name in seen.terms.moves | excused or (seen.terms.anew and begins)
        if not step.cause:
            yield Finding("every transition has a cause", "a sentence", f"none: {word(step)}")
        if not allowed:
            yield Finding("no transition without a cause", f"{step.name} stays as it is", word(step))
        counted[step.node, step.name] += step.name not in excused
    for (node, name), count in counted.items():
        if count > seen.terms.most_steps:
            yield Finding(
                "a router comes to rest",
                f"at most {seen.terms.most_steps} transitions",
                f"{count} of {name} on {node}",
            )


def notifications(
    steps: Sequence[Step], told: Mapping[str, Sequence[tuple[str, str]]], *, untold: bool
) -> list[Finding]:
    """Told as it happened, in order, never twice; nothing is missing unless who tells was hurt (untold)."""
    found = []
    wanted: dict[tuple[str, str], list[str]] = {}
    for step in sorted(steps, key=lambda step: (step.at_ns, step.number)):
        if step.from_state == step.to_state:
            continue  # A master that heard a lower one: a script of its own, which the nodes don't have.
        wanted.setdefault((step.node, step.name), []).append(step.to_state)
    got: dict[tuple[str, str], list[str]] = {}
    for node, lines in told.items():
        for name, state in lines:
            got.setdefault((node, name), []).append(state)
    for node, name in sorted(wanted.keys() | got.keys()):
        states, heard = _told_of(wanted.get((node, name), [])), got.get((node, name), [])
        right = is_part_of(heard, states) if untold else heard == states
        if not right:
            found.append(
                Finding(
                    "scripts are told of each transition, in order, once",
                    f"{name} on {node}: {' '.join(states) or 'nothing'}",
                    " ".join(heard) or "nothing",
                )
            )
    return found


def _told_of(states: Sequence[str]) -> list[str]:
    """An instance that left the file is told of as FAULT."""
    return ["FAULT" if state == "DELETED" else state for state in states if state != "INIT"]


def is_part_of(some: Sequence[str], whole: Sequence[str]) -> bool:
    """True when `some` is `whole` with nothing added and the order kept."""
    rest = iter(whole)
    return all(each in rest for each in some)


def _rest(seen: Round) -> Iterator[Finding]:
    for sentence in seen.unsettled:
        yield Finding("all is well again", f"{seen.until_s - seen.ended_s:.0f} s after the trouble", sentence)


def growth(sizes: Mapping[str, Sequence[Size]]) -> list[Finding]:
    """Of each service over the run: what its processes took at rest, oldest first."""
    found = []
    for name, series in sizes.items():
        third = len(series) // 3
        if third < 2:
            continue
        # The smallest of each third: a process that has just begun is small, one that has grown stays large.
        first, last = series[:third], series[-third:]
        before, after = (max(size.kibibytes for size in first), min(size.kibibytes for size in last))
        if after > before + _GROWTH_KIBIBYTES:
            found.append(Finding("memory does not grow", f"{name}: {before} KiB", f"{after} KiB at the end"))
        fds = (max(size.descriptors for size in first), min(size.descriptors for size in last))
        if fds[1] > fds[0] + _GROWTH_DESCRIPTORS:
            found.append(Finding("descriptors are given back", f"{name}: {fds[0]}", f"{fds[1]} at the end"))
    return found


def word(step: Step) -> str:
    """A step in a line."""
    return f"{step.node} {step.name} {step.from_state} -> {step.to_state}: {step.cause}"
