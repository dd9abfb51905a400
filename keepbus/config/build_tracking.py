"""What may be tracked, and who tracks it (features 7): `vrrp_script`, `vrrp_track_process`, `track_file`,
`bfd_instance`, and the `track_…` blocks of instances and sync groups.

Law of this file: a tracker that an instance names and that cannot be used is an error, because two nodes of
which one tracks and the other doesn't disagree about who is master.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keepbus.config.check_values import FileWeight
from keepbus.config.diagnostics import Findings, Note
from keepbus.config.keywords import grammar
from keepbus.config.kinds import KINDS
from keepbus.config.model.checker import TrackedFile
from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import ParamMatch, Track, TrackerKind, TrackProcess, TrackScript
from keepbus.config.model.vrrp import VrrpInstance
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement
from keepbus.config.values import Invalid

TRACK_FIELDS = {
    "track_interface": TrackerKind.INTERFACE,
    "track_script": TrackerKind.SCRIPT,
    "track_file": TrackerKind.FILE,
    "track_process": TrackerKind.PROCESS,
    "track_bfd": TrackerKind.BFD,
}
"""The blocks of an instance or a sync group that hold Track lines."""
BLOCKS = ("vrrp_script", "vrrp_track_process", "bfd_instance")
"""The top level blocks that `Trackables` reads itself."""

_KEYWORDS = {
    TrackerKind.SCRIPT: "vrrp_script",
    TrackerKind.PROCESS: "vrrp_track_process",
    TrackerKind.FILE: "track_file",
    TrackerKind.BFD: "bfd_instance",
}
_MOST_WEIGHT = 253
_LEAST_INTERVAL_US = 1_000


@dataclass(frozen=True, slots=True)
class _Defined:
    """Something that can be tracked."""

    tracker: TrackScript | TrackProcess | TrackedFile | None
    """What checker does for it; None for a BFD session."""
    weight: int
    reverse: bool
    block: Statement


class Trackables:
    """Everything that can be tracked."""

    def __init__(
        self,
        tables: TableReader,
        blocks: Mapping[str, Sequence[Statement]],
        files: Mapping[str, TrackedFile],
        order: Sequence[Statement] = (),
    ) -> None:
        """blocks: those of BLOCKS and `track_file`, by keyword; files: what became of the latter; order: all
        top level blocks as they stand in the file."""
        self._tables = tables
        self._findings = tables.findings
        self._position = {id(block): number for number, block in enumerate(order)}
        self._defined: dict[tuple[TrackerKind, str], _Defined] = {}
        for block in blocks["track_file"]:
            file = files.get(block.words[1]) if len(block.words) > 1 else None
            if file is not None:
                found = _Defined(file, file.weight, file.reverse, block)
                self._defined.setdefault((TrackerKind.FILE, file.name), found)
        for kind, build in (
            (TrackerKind.SCRIPT, self._script),
            (TrackerKind.PROCESS, self._process),
            (TrackerKind.BFD, self._bfd),
        ):
            for block in blocks[_KEYWORDS[kind]]:
                self._define(kind, block, build)

    # Definitions

    def _define(self, kind: TrackerKind, block: Statement, build: Any) -> None:
        words = block.words
        if len(words) < 2 or words[1].startswith("//"):
            self._findings.error("missing-argument", f"`{words[0]}` needs a name", block.at(), lenient=True)
            return
        if len(words) > 2:
            self._tables.surplus(block, words, 2)
        fields = self._tables.read(block, (words[0],))
        first = self._defined.get((kind, words[1]))
        if first is not None:
            self._findings.warning(
                "duplicate-tracker",
                f"there is a `{words[0]} {words[1]}` already; this one is ignored",
                block.at(1),
                note=Note(text="the first one is here", place=first.block.at(1).place()),
            )
            return
        tracker = build(words[1], fields)
        if tracker is not None or kind is TrackerKind.BFD:
            given = self._weight(fields)
            self._defined[kind, words[1]] = _Defined(tracker, given.weight, bool(given.reverse), block)

    def _weight(self, fields: Fields) -> FileWeight:
        given: FileWeight = fields.get("tracking_weight", FileWeight(0, None))
        weight = self._reduced(given.weight, fields.at.get("tracking_weight"), 1)
        return FileWeight(weight, given.reverse)

    def _reduced(self, weight: int, statement: Statement | None, index: int) -> int:
        """253 instead of 254, which could leave no priority at all (features 7)."""
        if abs(weight) <= _MOST_WEIGHT or statement is None:
            return weight
        reduced = _MOST_WEIGHT if weight > 0 else -_MOST_WEIGHT
        self._findings.warning("weight-too-large", f"{reduced} is taken for {weight}", statement.at(index))
        return reduced

    def _script(self, name: str, fields: Fields) -> TrackScript | None:
        script: Script | None = fields.get("script")
        if script is None:
            self._lacks("script", f"vrrp_script {name}", fields)
            return None
        if not script.user and fields.get("user"):
            user, _, group = str(fields.get("user")).partition(":")
            script = replace(script, user=user, group=group)
        interval_us = int(fields.get("interval_us", 1_000_000)) or 1_000_000
        interval_us = max(interval_us, _LEAST_INTERVAL_US)
        return TrackScript(
            name=name,
            script=script,
            interval_us=interval_us,
            timeout_us=int(fields.get("timeout_us", 0)) or interval_us,
            **fields.given(("rise", "fall")),
        )

    def _process(self, name: str, fields: Fields) -> TrackProcess | None:
        command: tuple[str, ...] | None = fields.get("process")
        if command is None:
            self._lacks("process", f"vrrp_track_process {name}", fields)
            return None
        path, *params = command
        match = fields.get("param_match")
        if match is None and params:
            match = ParamMatch.EXACT
        elif match is None:
            match = ParamMatch.COMMAND if fields.get("full_command") else ParamMatch.ANY
        quorum, quorum_max = fields.get("quorum", 1), fields.get("quorum_max", 65535)
        if not quorum_max:
            quorum = 0
        elif quorum > quorum_max:
            self._findings.error(
                "quorum-max",
                f"no number of processes is at least {quorum} and at most {quorum_max}; "
                "`quorum_max` is ignored",
                fields.where("quorum_max"),
                lenient=True,
            )
            quorum_max = 65535
        delay_us = fields.get("delay_us", 0)
        return TrackProcess(
            name=name,
            path=path,
            params=tuple(params),
            param_match=match,
            quorum=quorum,
            quorum_max=quorum_max,
            fork_delay_us=fields.get("fork_delay_us", delay_us),
            terminate_delay_us=fields.get("terminate_delay_us", delay_us),
        )

    def _bfd(self, _name: str, _fields: Fields) -> None:
        return None

    def _lacks(self, keyword: str, what: str, fields: Fields) -> None:
        if fields.lacks(keyword):
            self._findings.error(
                f"missing-{keyword}",
                f"`{what}` has no `{keyword}`; it is not used",
                fields.statement.at(0, 2),
                lenient=True,
            )

    # Uses

    def read(self, fields: Fields) -> tuple[Track, ...]:
        """What the `track_…` blocks among the fields name; fields are an instance's or a sync group's."""
        found: dict[tuple[TrackerKind, str], tuple[Track, Statement]] = {}
        for keyword, kind in TRACK_FIELDS.items():
            for line in fields.get(keyword, ()):
                track = self._track(keyword, kind, line, fields.statement)
                if track is None:
                    continue
                known = found.get((kind, track.name))
                if known is None:
                    found[kind, track.name] = track, line
                    continue
                self._findings.warning(
                    "tracked-twice",
                    f"{kind} {track.name} is tracked already; this line is ignored",
                    line.at(),
                    note=Note(text="the first one is here", place=known[1].at().place()),
                )
        return tuple(track for track, _ in found.values())

    def _track(self, keyword: str, kind: TrackerKind, line: Statement, user: Statement) -> Track | None:
        row = grammar("track")[keyword]
        words = line.words
        used = next((n for n, word in enumerate(words) if n and word.startswith("//")), min(len(words), 4))
        if used < len(words):
            self._tables.surplus(line, words, used)
        try:
            given = KINDS[row.kind].convert(words[:used], row.parameters)
        except Invalid as error:
            at = min(error.index, used - 1)
            self._tables.ignore(row, "bad-value", f"`{keyword}`: {error}", line, at)
            return None
        weight, reverse = given.weight, given.reverse
        if kind is not TrackerKind.INTERFACE:
            defined = self._defined.get((kind, given.name))
            if defined is None:
                self._findings.error(
                    "unknown-tracker",
                    f"there is no `{_KEYWORDS[kind]} {given.name}` to track; this line is ignored",
                    line.at(),
                    advice=f"define `{_KEYWORDS[kind]} {given.name}` above `{' '.join(user.words[:2])}`",
                    lenient=True,
                )
                return None
            self._look_at_order(kind, given.name, defined, line, user)
            if weight is None:
                weight = defined.weight
            if reverse is None:
                reverse = defined.reverse
        if kind is not TrackerKind.FILE:
            weight = self._reduced(weight or 0, line, 2)
        return Track(kind=kind, name=given.name, weight=weight, reverse=bool(reverse))

    def _look_at_order(
        self, kind: TrackerKind, name: str, defined: _Defined, line: Statement, user: Statement
    ) -> None:
        """keepalived ignores what is defined below (features 3.8)."""
        position = self._position
        if position.get(id(defined.block), 0) > position.get(id(user), 0):
            self._findings.warning(
                "defined-below",
                f"`{_KEYWORDS[kind]} {name}` stands below; a node that runs keepalived does not track it",
                line.at(),
                note=Note(text="it is defined here", place=defined.block.at(1).place()),
            )

    def used(self, instances: Iterable[VrrpInstance]) -> dict[str, Any]:
        """What checker has to run for these instances, as fields of CheckerSection."""
        wanted = {(track.kind, track.name) for instance in instances for track in instance.trackers}
        run = [defined.tracker for key, defined in self._defined.items() if key in wanted]
        for (kind, name), defined in self._defined.items():
            # The others may be there for checkers.
            if (kind, name) not in wanted and kind in (TrackerKind.SCRIPT, TrackerKind.PROCESS):
                self._findings.warning(
                    "not-tracked", f"nothing tracks {kind} {name}; it is not used", defined.block.at(0, 2)
                )
        return {
            "track_scripts": tuple(each for each in run if isinstance(each, TrackScript)),
            "track_processes": tuple(each for each in run if isinstance(each, TrackProcess)),
            "track_files": tuple(each for each in run if isinstance(each, TrackedFile)),
        }


@dataclass(frozen=True, slots=True)
class GroupTracking:
    """What a sync group says of its members' trackers."""

    tracks: tuple[Track, ...]
    """Of every member."""
    weighted: bool
    """`sync_group_tracking_weight`."""
    block: Statement


def join(findings: Findings, instance: VrrpInstance, group: GroupTracking) -> VrrpInstance:
    """A member with its group's trackers. As keepalived 2.2.7: a group's own weights count in any case, those
    of a member only with `sync_group_tracking_weight`, and a group's line replaces a member's."""
    of_group = {(track.kind, track.name) for track in group.tracks}
    own = instance.trackers if group.weighted else disarmed(instance.trackers)
    if own != instance.trackers:
        findings.warning(
            "disarmed",
            f"`{instance.name}` is in a sync group: the weights of what it tracks itself do not count",
            group.block.at(0, 2),
            advice="write `sync_group_tracking_weight` in the group, or track there",
        )
    for track in own:
        if (track.kind, track.name) in of_group:
            findings.warning(
                "tracked-twice",
                f"{track.kind} {track.name} is tracked by `{instance.name}` and by its sync group; "
                "the group's line counts",
                group.block.at(0, 2),
            )
    kept = (track for track in own if (track.kind, track.name) not in of_group)
    return replace(instance, trackers=(*kept, *group.tracks))


def disarmed(tracks: Iterable[Track]) -> tuple[Track, ...]:
    """What a member of a sync group without `sync_group_tracking_weight` tracks (features 7): no weights, so
    that its members have one priority. As keepalived, processes keep theirs."""
    kept = []
    for track in tracks:
        if not track.weight or track.kind is TrackerKind.PROCESS:
            kept.append(track)
        elif track.kind is TrackerKind.INTERFACE or (track.kind is TrackerKind.FILE and track.weight == 1):
            kept.append(replace(track, weight=0))
    return tuple(kept)
