"""What is tracked and what it makes of priority and state: features 7 and 5.5, conformance P4, P5, I6, B8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from keepbus_vrrp import events
from keepbus_vrrp.effects import Advertise, Remember
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, LinkMessage
from keepbus_vrrp.record import dump
from keepbus_vrrp.tracking import contribution, effective_priority
from vrrp_router import LOCAL, LOWER, Router, advert, config, kernel, priorities

from keepbus.config.model.tracking import Track, TrackerKind
from keepbus.config.model.vrrp import InitialState
from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import Evidence, Tracker, Verdict
from keepbus.contracts.message import Body, Header, Message, topic_of
from keepbus.contracts.vrrp import Instance as InstanceState
from keepbus.contracts.vrrp import PriorityChanged, Transitioned, VrrpState
from keepbus.runtime.machine import BusMessage, Publish
from keepbus.testing.playbook import Scene, ns

INIT, BACKUP, MASTER, FAULT = VrrpState.INIT, VrrpState.BACKUP, VrrpState.MASTER, VrrpState.FAULT
SCRIPT, PROCESS, FILE, BFD = TrackerKind.SCRIPT, TrackerKind.PROCESS, TrackerKind.FILE, TrackerKind.BFD
INTERFACE = TrackerKind.INTERFACE


def track(kind: TrackerKind = SCRIPT, weight: int = 0, *, reverse: bool = False, name: str = "chk") -> Track:
    return Track(kind=kind, name=name, weight=weight, reverse=reverse)


def bus(body: Body | None, topic: str = "") -> BusMessage:
    header = Header(1, "node", "checker", "b", 1, 1, 1, 1, "")
    return BusMessage(Message(topic or topic_of(body, "checker") if body else topic, header, body), ns(0))


def says(
    verdict: bool | None, kind: TrackerKind = SCRIPT, *, value: int = 0, name: str = "chk", received: str = ""
) -> BusMessage:
    """checker's word on a tracker."""
    words = {True: Verdict.UP, False: Verdict.DOWN, None: Verdict.UNKNOWN}
    text = received or ("exit status 0" if verdict else "exit status 1")
    evidence = Evidence(sent="/bin/chk", received=text, took_us=1, at_ns=1)
    return bus(
        Tracker(
            tracker=f"{kind}:{name}",
            kind=kind,
            name=name,
            verdict=words[verdict],
            value=value,
            changes=1,
            since_ns=77,
            evidence=evidence,
        )
    )


def changes(scene: Scene) -> list[PriorityChanged]:
    return [
        effect.body
        for effect in scene.of(Publish)
        if isinstance(effect, Publish) and isinstance(effect.body, PriorityChanged)
    ]


def states(scene: Scene) -> list[InstanceState]:
    return [
        effect.body
        for effect in scene.of(Publish)
        if isinstance(effect, Publish) and isinstance(effect.body, InstanceState)
    ]


def transitions(scene: Scene) -> list[tuple[VrrpState, str]]:
    return [
        (effect.body.transition.to_state, effect.body.transition.cause)
        for effect in scene.of(Publish)
        if isinstance(effect, Publish) and isinstance(effect.body, Transitioned)
    ]


# The table of features 7.
@pytest.mark.parametrize(
    ("weight", "reverse", "while_up", "while_down"),
    [(20, False, 20, 0), (-20, False, 0, -20), (20, True, -20, 0), (-20, True, 0, 20), (0, False, 0, 0)],
)
def test_what_a_verdict_adds(weight: int, reverse: bool, while_up: int, while_down: int) -> None:
    tracker = track(weight=weight, reverse=reverse)
    assert contribution(tracker, up=True, value=0) == while_up
    assert contribution(tracker, up=False, value=0) == while_down


@pytest.mark.parametrize(
    ("weight", "reverse", "value", "added"),
    [(1, False, 7, 7), (1, True, 7, -7), (-3, False, 5, -15), (2, False, 200, 253), (-2, True, 500, 253)],
)
def test_what_a_file_adds(weight: int, reverse: bool, value: int, added: int) -> None:
    """Features 7.3: value times weight, at most 253."""
    assert contribution(track(FILE, weight, reverse=reverse), up=True, value=value) == added


@pytest.mark.parametrize(
    ("base", "added", "effective"),
    [(100, (50, -20), 130), (100, (-100,), 1), (100, (-99,), 1), (200, (54,), 254), (200, (253, 253), 254),
     (255, (-50,), 255), (1, (0,), 1)],
)  # fmt: skip
def test_p4_the_sum_is_within_1_to_254_and_an_owners_is_never_changed(
    base: int, added: tuple[int, ...], effective: int
) -> None:
    assert effective_priority(base, added) == effective


@pytest.mark.parametrize("kind", [SCRIPT, PROCESS, FILE])
def test_i6_what_was_never_heard_is_waited_for_in_silence(kind: TrackerKind) -> None:
    """Features 5.3, start 5: nothing is notified until the first word came."""
    router = Router(trackers=(track(kind),))
    assert router.state is INIT
    assert transitions(router.scene) == []
    told = states(router.scene)[-1]
    assert (told.state, told.transitions, told.cause) == (INIT, 0, f"waits for the first word of {kind} chk")
    assert transitions(router.at(60)) == []
    scene = router.at(60, says(True, kind))
    assert transitions(scene) == [(BACKUP, "started")]


def test_i6_a_first_word_that_is_bad_is_a_fault() -> None:
    router = Router(trackers=(track(),))
    scene = router.at(1, says(False, received="exit status 1: no backend"))
    assert transitions(scene) == [(FAULT, "script chk failed (exit status 1: no backend)")]


def test_i6_an_interface_that_is_down_is_told_although_a_script_is_waited_for() -> None:
    router = Router(trackers=(track(),), up=False)
    assert router.state is FAULT
    assert transitions(router.at(1, kernel(LOCAL))) == []
    assert router.state is FAULT
    assert [state for state, _ in transitions(router.at(2, says(True)))] == [BACKUP]


def test_who_cannot_be_asked_is_not_waited_for() -> None:
    """What the host cannot run counts for nothing, first or later."""
    router = Router(trackers=(track(),))
    router.at(1, says(None))
    assert router.state is BACKUP
    assert router.instance.tracking.parts[0].verdict == "unknown"
    router.at(2, says(True))
    router.at(3, says(None))
    assert router.instance.tracking.parts[0].verdict == "up"


@pytest.mark.parametrize("weight", [20, -20])
def test_with_a_weight_nothing_is_waited_for(weight: int) -> None:
    router = Router(trackers=(track(weight=weight),))
    assert router.state is BACKUP
    assert router.instance.effective_priority == 100


def test_a_bfd_session_that_nobody_speaks_for_counts_for_nothing() -> None:
    router = Router(trackers=(track(BFD), track(BFD, -10, name="other")))
    assert (router.state, router.instance.effective_priority) == (BACKUP, 100)
    router.at(1, bus(Session(name="other", up=False, since_ns=1)))
    assert router.instance.effective_priority == 90
    scene = router.at(1, bus(Session(name="chk", up=False, since_ns=1, detail="control detection time")))
    assert transitions(scene) == [(FAULT, "bfd chk is down (control detection time)")]


def test_weight_0_down_is_a_fault_that_names_it_and_up_ends_it() -> None:
    router = Router(trackers=(track(),))
    router.at(0, says(True))
    start = router.become_master()
    scene = router.at(start + 1.5, says(False))
    assert transitions(scene) == [(FAULT, "script chk failed (exit status 1)")]
    assert priorities(scene)[-1] == 0
    assert states(scene)[-1].faults == ("script chk failed (exit status 1)",)
    scene = router.at(start + 5, says(True))
    assert [state for state, _ in transitions(scene)] == [BACKUP]
    assert router.instance.wait_us == 3_609_375


def test_reverse_with_weight_0_means_that_up_is_the_fault() -> None:
    router = Router(trackers=(track(reverse=True),))
    assert [state for state, _ in transitions(router.at(0, says(True)))] == [FAULT]
    assert [state for state, _ in transitions(router.at(1, says(False)))] == [BACKUP]


def test_an_owner_ignores_weights_and_heeds_weight_0() -> None:
    trackers = (track(weight=-20), track(name="hard"))
    router = Router(priority=255, state=InitialState.MASTER, trackers=trackers)
    router.at(0, says(True, name="hard"))
    assert router.state is MASTER
    router.at(1, says(False))
    assert router.instance.effective_priority == 255
    router.at(2, says(False, name="hard"))
    assert router.state is FAULT


@pytest.mark.parametrize(
    ("weight", "reverse", "value", "is_fault"),
    [(0, False, 0, False), (0, False, 1, True), (0, True, 0, True), (0, True, 3, False),
     (1, False, -253, False), (1, False, -254, True), (2, False, -127, True), (1, True, 254, True)],
)  # fmt: skip
def test_a_file_that_is_a_fault(weight: int, reverse: bool, value: int, is_fault: bool) -> None:
    """Features 7.3."""
    router = Router(trackers=(track(FILE, weight, reverse=reverse),))
    router.at(0, says(True, FILE, value=value, received=f"value {value}"))
    assert (router.state is FAULT) is is_fault
    if is_fault:
        assert f"file chk (value {value})" in router.instance.cause


def test_p5_a_masters_next_advert_has_the_new_priority_and_it_is_told() -> None:
    router = Router(trackers=(track(weight=50, name="chk_haproxy"),))
    start = router.become_master()
    scene = router.at(start + 0.5, says(True, name="chk_haproxy"))
    assert scene.of(Advertise) == []
    (change,) = changes(scene)
    assert (change.before, change.after, change.state) == (100, 150, MASTER)
    assert change.cause == "script chk_haproxy succeeds (exit status 0): priority 100 → 150"
    told = states(scene)[-1]
    assert (told.base_priority, told.effective_priority, told.master_priority) == (100, 150, 150)
    (part,) = told.trackers
    assert (part.name, part.kind, part.verdict, part.contribution) == ("chk_haproxy", "script", "up", 50)
    assert (part.since_ns, part.detail) == (77, "exit status 0")
    assert priorities(router.at(start + 1)) == [150]


@pytest.mark.parametrize("up", [True, False])
def test_p5_b8_a_backups_timer_moves_by_the_difference_of_the_skews(up: bool) -> None:
    """Features 5.5: (256 - 100) / 256 s against (256 - 150) / 256 s, and back."""
    router = Router(trackers=(track(weight=50),))
    router.at(0, says(True))
    router.at(1, advert(200, at=1))
    before_ns = router.instance.timer.due_at_ns
    assert before_ns == ns(1) + 3_414_063_000
    if up:
        router.at(2, says(False))
        assert router.instance.timer.due_at_ns == ns(1) + 3_609_375_000
        router.at(2.5, says(True))
    assert router.instance.timer.due_at_ns == before_ns
    assert router.instance.wait_us == 3_414_063


def test_p5_a_familiar_advert_is_looked_at_anew_after_a_change() -> None:
    """What was higher than we are may be lower now: the timer must run on (E1)."""
    router = Router(trackers=(track(weight=150),))
    for second in (1, 2):
        router.at(second, advert(200, at=second))
    router.at(2.5, says(True))
    assert router.instance.effective_priority == 250
    for second in (3, 4, 5, 6):
        router.at(second, advert(200, at=second))
    assert router.state is MASTER
    assert "lower than 250 here" in router.instance.cause
    assert "script chk succeeds (exit status 0): priority 100 → 250" in router.instance.cause


def test_who_yields_says_what_made_it_lower() -> None:
    router = Router(trackers=(track(weight=-20, name="chk_haproxy"),))
    router.become_master()
    router.at(5, says(False, name="chk_haproxy"))
    scene = router.at(5.5, advert(90, LOWER, at=5.5))
    assert transitions(scene) == [
        (
            BACKUP,
            f"{LOWER} advertises priority 90, higher than 80 here; "
            "script chk_haproxy failed (exit status 1): priority 100 → 80",
        )
    ]


def interface(name: str, index: int, *, up: bool = True, gone: bool = False) -> events.LinkChanged:
    flags = IFF_UP | IFF_RUNNING if up else IFF_UP
    return events.LinkChanged(LinkMessage(gone, index, name, flags, bytes(6), 1500))


def test_interfaces_are_seen_without_the_bus() -> None:
    trackers = (track(INTERFACE, name="eth1"), track(INTERFACE, -30, name="eth2"))
    router = Router(trackers=trackers)
    assert transitions(router.scene) == [(FAULT, "interface eth1 does not exist")]
    router.at(1, interface("eth1", 3))
    assert (router.state, router.instance.effective_priority) == (BACKUP, 70)
    router.at(2, interface("eth2", 4))
    assert router.instance.effective_priority == 100
    scene = router.at(3, interface("eth2", 4, up=False))
    assert changes(scene)[0].cause == "interface eth2 is down: priority 100 → 70"
    scene = router.at(4, interface("eth1", 3, up=False))
    assert transitions(scene) == [(FAULT, "interface eth1 is down")]
    assert transitions(router.at(5, interface("eth1", 3)))[0][0] is BACKUP


def test_dont_track_primary() -> None:
    router = Router(dont_track_primary=True, up=False)
    assert router.state is BACKUP
    assert Router(up=False).state is FAULT


def test_the_same_word_again_does_nothing() -> None:
    router = Router(trackers=(track(weight=50),))
    router.at(0, says(True))
    scene = router.at(1, says(True, received="exit status 0: other words"))
    assert states(scene) == []
    assert changes(scene) == []


def test_what_is_withdrawn_holds_as_long_as_it_is_tracked() -> None:
    """R-F9: with checker or the hub gone, the last verdict stands."""
    router = Router(trackers=(track(weight=50),))
    router.at(0, says(True))
    router.at(1, bus(None, "state/checker/tracker/script:chk"))
    router.at(3600)
    assert router.instance.effective_priority == 150


def test_two_that_change_are_added() -> None:
    router = Router(trackers=(track(weight=50), track(PROCESS, -30), track(FILE, 2)))
    router.at(0, says(True), says(False, PROCESS, received="0 of at least 1"), says(True, FILE, value=4))
    assert router.instance.effective_priority == 128
    assert [part.contribution for part in router.instance.tracking.parts] == [50, -30, 8]


# Reload


def test_a_tracker_that_a_reload_brings_is_neutral_until_it_is_heard() -> None:
    """Features 7.2: a new script on reload."""
    router = Router()
    start = router.become_master()
    scene = router.reload(start + 1, config(trackers=(track(),)))
    assert router.state is MASTER
    assert transitions(scene) == []
    assert transitions(router.at(start + 2, says(False))) == [(FAULT, "script chk failed (exit status 1)")]


def test_a_reload_without_the_tracker_takes_its_part_back() -> None:
    router = Router(trackers=(track(weight=50),))
    router.at(0, says(True))
    start = router.become_master()
    scene = router.reload(start + 1, config())
    assert priorities(scene)[-1:] == [100]
    assert transitions(scene) == []


def test_a_reload_that_brings_a_known_fault() -> None:
    router = Router(trackers=(track(weight=50),))
    router.at(0, says(False))
    router.become_master()
    scene = router.reload(10, config(trackers=(track(weight=0),)))
    assert [state for state, _ in transitions(scene)] == [FAULT]


# A crash is no failover (R-F9, R-L5)


def crashed(**fields: Any) -> tuple[str, tuple[Track, ...]]:
    """A master with a script of weight 0 and one that counts, and what it left."""
    trackers = (track(), track(weight=-30, name="soft"))
    router = Router(trackers=trackers, **fields)
    router.at(0, says(True), says(False, name="soft"))
    start = router.become_master()
    scene = router.at(start + 0.5, says(True, name="soft"), says(False, name="soft"))
    left = [effect for effect in scene.of(Remember) if isinstance(effect, Remember)]
    assert left[-1].holds_lease
    return dump(left[-1].record), trackers


def test_r_f9_the_next_process_goes_on_with_the_verdicts_that_were_heard() -> None:
    text, trackers = crashed()
    memory = (text, ns(-0.5), ns(1.5), (0, 0, 0, 0, 0, 0))
    router = Router(addresses=(LOCAL, "192.0.2.1"), memories=(memory,), trackers=trackers)
    assert router.state is MASTER
    assert transitions(router.scene) == []
    assert priorities(router.scene) == [70]
    assert [part.verdict for part in router.instance.tracking.parts] == ["up", "down"]


def test_after_a_boot_no_verdict_is_known() -> None:
    text, trackers = crashed()
    memory = (text.replace('"boot"', '"other"'), ns(-0.5), ns(1.5), (0, 0, 0, 0, 0, 0))
    router = Router(memories=(memory,), trackers=trackers)
    assert router.state is INIT


def test_after_a_stop_no_verdict_is_known() -> None:
    """It may be long ago."""
    router = Router(trackers=(track(),))
    router.at(0, says(True))
    left = [effect for effect in router.stop(1).of(Remember) if isinstance(effect, Remember)]
    memory = (dump(left[-1].record), 0, 0, (0, 0, 0, 0, 0, 0))
    assert Router(memories=(memory,), trackers=(track(),)).state is INIT


def test_what_an_instance_does_not_track_does_not_touch_it() -> None:
    other = replace(config(), name="VI_2", virtual_router_id=52, trackers=(track(weight=9),))
    router = Router(config(), other)
    scene = router.at(1, says(True))
    assert [told.name for told in states(scene)] == ["VI_2"]
