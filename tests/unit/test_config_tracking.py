"""What becomes of trackers (features 3.8, 7; the rows vrrp_script, vrrp_track_process, track_…)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import INSTANCE, codes, compile_text, find, instance, is_error, only_instance, told

from keepbus.config.build_tracking import disarmed
from keepbus.config.compiler import Compiled
from keepbus.config.model.checker import CheckerSection
from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import ParamMatch, Track, TrackerKind, TrackProcess, TrackScript

SCRIPT = 'vrrp_script chk {\n script "/bin/chk -a" nobody\n@\n}\n'
PROCESS = "vrrp_track_process nginx {\n process nginx\n@\n}\n"
FILE = "track_file tf {\n file /run/tf\n@\n}\n"


def checker(compiled: Compiled) -> CheckerSection:
    assert compiled.configuration is not None, compiled.diagnostics
    return compiled.configuration.checker


def script(folder: Path, lines: str, track: str = "chk") -> Compiled:
    return instance(folder, f"track_script {{\n{track}\n}}", SCRIPT.replace("@", lines))


def process(folder: Path, lines: str) -> Compiled:
    return instance(folder, "track_process {\nnginx\n}", PROCESS.replace("@", lines))


def test_a_script_with_defaults(tmp_path: Path) -> None:
    compiled = script(tmp_path, "")
    assert compiled.diagnostics == ()
    assert only_instance(compiled).trackers == (Track(kind=TrackerKind.SCRIPT, name="chk"),)
    assert checker(compiled).track_scripts == (
        TrackScript(name="chk", script=Script(argv=("/bin/chk", "-a"), user="nobody")),
    )


def test_a_script_with_everything(tmp_path: Path) -> None:
    lines = "interval 0.5\ntimeout 3\nrise 2\nfall 4\nweight -20 reverse"
    compiled = script(tmp_path, lines)
    (found,) = checker(compiled).track_scripts
    assert (found.interval_us, found.timeout_us, found.rise, found.fall) == (500_000, 3_000_000, 2, 4)
    (track,) = only_instance(compiled).trackers
    assert (track.weight, track.reverse) == (-20, True)


def test_the_time_limit_is_the_interval_and_no_interval_is_a_second(tmp_path: Path) -> None:
    (found,) = checker(script(tmp_path, "interval 4")).track_scripts
    assert found.timeout_us == 4_000_000
    (found,) = checker(script(tmp_path, "interval 0")).track_scripts
    assert (found.interval_us, found.timeout_us) == (1_000_000, 1_000_000)


def test_user_in_its_own_line(tmp_path: Path) -> None:
    text = 'vrrp_script chk {\n script "/bin/chk"\n user daemon adm\n}\n'
    compiled = instance(tmp_path, "track_script {\nchk\n}", text)
    (found,) = checker(compiled).track_scripts
    assert (found.script.user, found.script.group) == ("daemon", "adm")
    assert codes(compiled) == []


def test_init_fail_has_no_effect_as_in_keepalived(tmp_path: Path) -> None:
    assert codes(script(tmp_path, "init_fail")) == ["obsolete"]


@pytest.mark.parametrize(
    ("line", "weight", "reverse"),
    [
        ("chk", 5, True),
        ("chk weight 30", 30, True),
        ("chk weight 30 reverse", 30, True),
        ("chk weight 30 noreverse", 30, False),
        ("chk weight 0", 0, True),
    ],
)
def test_the_line_that_tracks_replaces_weight_and_reverse(
    tmp_path: Path, line: str, weight: int, reverse: bool
) -> None:
    (track,) = only_instance(script(tmp_path, "weight 5 reverse", line)).trackers
    assert (track.weight, track.reverse) == (weight, reverse)


@pytest.mark.parametrize(
    ("line", "column"),
    [("chk 30", 5), ("chk weight", 1), ("chk weight x", 12), ("chk weight 255", 12), ("chk weight 3 up", 14)],
)
def test_a_line_that_cannot_be_used_is_an_error(tmp_path: Path, line: str, column: int) -> None:
    compiled = script(tmp_path, "", line)
    assert is_error(compiled, "bad-value")
    if line != "chk weight":
        assert find(compiled, "bad-value").place.column == column


def test_254_is_reduced_but_for_files(tmp_path: Path) -> None:
    compiled = script(tmp_path, "", "chk weight -254")
    assert only_instance(compiled).trackers[0].weight == -253
    assert codes(compiled) == ["weight-too-large"]
    compiled = instance(tmp_path, "track_file {\ntf weight 254\n}", FILE.replace("@", ""))
    assert only_instance(compiled).trackers[0].weight == 254
    assert codes(compiled) == []


def test_what_is_not_there_cannot_be_tracked(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "track_script {\nchk\n}")
    assert is_error(compiled, "unknown-tracker")
    compiled = instance(tmp_path, "track_script {\nchk\n}", permissive=True)
    assert only_instance(compiled).trackers == ()


def test_what_is_defined_below_is_tracked_and_told(tmp_path: Path) -> None:
    """Features 3.8: keepalived does not find it."""
    text = INSTANCE.replace("@", "track_script {\nchk\n}") + SCRIPT.replace("@", "")
    compiled = compile_text(tmp_path, text)
    assert codes(compiled) == ["defined-below"]
    assert [track.name for track in only_instance(compiled).trackers] == ["chk"]


def test_the_same_tracker_twice(tmp_path: Path) -> None:
    """Features 7: the second is ignored."""
    compiled = script(tmp_path, "", "chk weight 1\nchk weight 2")
    assert codes(compiled) == ["tracked-twice"]
    assert [track.weight for track in only_instance(compiled).trackers] == [1]


def test_a_script_twice(tmp_path: Path) -> None:
    text = SCRIPT.replace("@", "weight 1") + SCRIPT.replace("@", "weight 2")
    compiled = instance(tmp_path, "track_script {\nchk\n}", text)
    assert codes(compiled) == ["duplicate-tracker"]
    assert only_instance(compiled).trackers[0].weight == 1


def test_a_script_that_nothing_tracks_is_not_run(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "", SCRIPT.replace("@", ""))
    assert codes(compiled) == ["not-tracked"]
    assert checker(compiled).track_scripts == ()


@pytest.mark.parametrize(("text", "code"), [(SCRIPT, "missing-script"), (PROCESS, "missing-process")])
def test_a_tracker_without_what_it_tracks(tmp_path: Path, text: str, code: str) -> None:
    head = text.splitlines()[0]
    assert is_error(instance(tmp_path, "", f"{head}\n}}\n"), code)


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("", ParamMatch.ANY),
        ("full_command", ParamMatch.COMMAND),
        ("param_match", ParamMatch.EXACT),
        ("param_match partial", ParamMatch.PARTIAL),
        ("param_match initial", ParamMatch.INITIAL),
    ],
)
def test_what_of_a_process_is_compared(tmp_path: Path, lines: str, match: ParamMatch) -> None:
    (found,) = checker(process(tmp_path, lines)).track_processes
    assert found.param_match is match


def test_parameters_mean_exactly_those(tmp_path: Path) -> None:
    text = 'vrrp_track_process p {\n process /usr/bin/x -a "b c"\n}\n'
    (found,) = checker(instance(tmp_path, "track_process {\np\n}", text)).track_processes
    assert (found.path, found.params) == ("/usr/bin/x", ("-a", "b c"))
    assert found.param_match is ParamMatch.EXACT


def test_quorum_and_delays(tmp_path: Path) -> None:
    lines = "quorum 2\nquorum_max 4\ndelay 1.5\nfork_delay 0.25"
    (found,) = checker(process(tmp_path, lines)).track_processes
    assert found == TrackProcess(
        name="nginx",
        path="nginx",
        quorum=2,
        quorum_max=4,
        fork_delay_us=250_000,
        terminate_delay_us=1_500_000,
    )


def test_none_may_run(tmp_path: Path) -> None:
    (found,) = checker(process(tmp_path, "quorum_max 0")).track_processes
    assert (found.quorum, found.quorum_max) == (0, 0)


def test_a_quorum_that_no_number_meets(tmp_path: Path) -> None:
    assert is_error(process(tmp_path, "quorum 3\nquorum_max 2"), "quorum-max")


def test_interfaces_and_the_own_one(tmp_path: Path) -> None:
    compiled = instance(
        tmp_path, "track_interface {\neth1\neth2 weight -30\neth3 weight 5 reverse\n}\ndont_track_primary"
    )
    found = only_instance(compiled)
    assert found.dont_track_primary
    assert [(track.name, track.weight, track.reverse) for track in found.trackers] == [
        ("eth1", 0, False),
        ("eth2", -30, False),
        ("eth3", 5, True),
    ]


def test_a_file_for_instances_has_the_weight_of_its_block(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "track_file {\ntf\n}", FILE.replace("@", "weight 3 reverse"))
    (track,) = only_instance(compiled).trackers
    assert (track.weight, track.reverse) == (3, True)
    assert [file.path for file in checker(compiled).track_files] == ["/run/tf"]
    compiled = instance(tmp_path, "track_file {\ntf\n}", FILE.replace("@", ""))
    assert only_instance(compiled).trackers[0].weight == 1


def test_a_bfd_session_is_another_programs_matter(tmp_path: Path) -> None:
    text = "bfd_instance peer {\n weight 7\n}\n"
    compiled = instance(tmp_path, "track_bfd {\npeer\n}", text)
    assert told(compiled) == ["warning partial 1:1"]
    (track,) = only_instance(compiled).trackers
    assert (track.kind, track.weight) == (TrackerKind.BFD, 7)


def test_members_of_a_sync_group_lose_their_weights() -> None:
    """Features 7: as keepalived 2.2.7 was seen to do it."""

    def track(kind: TrackerKind, weight: int) -> Track:
        return Track(kind=kind, name=f"{kind}{weight}", weight=weight)

    every = [track(kind, weight) for kind in TrackerKind for weight in (0, 1, 7)]
    assert [(each.name, each.weight) for each in disarmed(every)] == [
        ("interface0", 0),
        ("interface1", 0),
        ("interface7", 0),
        ("script0", 0),
        ("file0", 0),
        ("file1", 0),
        ("process0", 0),
        ("process1", 1),
        ("process7", 7),
        ("bfd0", 0),
    ]


GROUPED = """
vrrp_sync_group G {{
    group {{
        VI_1
    }}
{group}
}}
"""


# As keepalived 2.2.7: with a script that succeeds it makes 120, 120, 100, 120, 130 of priority 100.
@pytest.mark.parametrize(
    ("member", "group", "weights", "code"),
    [
        ("", "track_script {\nchk weight 20\n}", (20,), ""),
        ("", "sync_group_tracking_weight\ntrack_script {\nchk weight 20\n}", (20,), ""),
        ("chk weight 20", "", (), "disarmed"),
        ("chk weight 20", "sync_group_tracking_weight", (20,), ""),
        (
            "chk weight 20",
            "sync_group_tracking_weight\ntrack_script {\nchk weight 30\n}",
            (30,),
            "tracked-twice",
        ),
        ("chk", "", (0,), ""),
        ("chk weight 20", "global_tracking", (20,), "deprecated"),
    ],
)
def test_what_a_sync_group_makes_of_its_members_trackers(
    tmp_path: Path, member: str, group: str, weights: tuple[int, ...], code: str
) -> None:
    own = f"track_script {{\n{member}\n}}" if member else ""
    text = SCRIPT.replace("@", "") + INSTANCE.replace("@", own) + GROUPED.format(group=group)
    compiled = compile_text(tmp_path, text)
    assert tuple(track.weight for track in only_instance(compiled).trackers) == weights
    found = set(codes(compiled)) - {"one-member", "defined-below", "not-tracked"}
    assert found == ({code} if code else set())
