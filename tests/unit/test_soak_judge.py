"""The soak's judge: what it finds in rounds written by hand, and what it lets pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from soak.evidence import Round, Size, Step, Terms, Watched
from soak.judge import growth, judge

ONE, TWO, BOTH, NOBODY = frozenset({"d1"}), frozenset({"d2"}), frozenset({"d1", "d2"}), frozenset[str]()
VI = Watched("192.0.2.1", "VI", 1.0)
QUIET = Round(
    trouble="nothing", terms=Terms(), began_s=100, ended_s=101, settled_s=101, until_s=120, watched=[VI],
    answers={VI.address: [(90, ONE)]},
)  # fmt: skip
MOVES = replace(QUIET, terms=Terms(moves=frozenset({"VI"})))


def step(number: int, before: str, after: str, cause: str = "a reason") -> Step:
    return Step("d1", "VI", "life", number, before, after, cause, number)


def rules(seen: Round) -> list[str]:
    return [finding.rule for finding in judge(seen)]


def answered(seen: Round, *answers: tuple[float, frozenset[str]]) -> Round:
    return replace(seen, answers={VI.address: [(90, ONE), *answers]})


def test_nothing_is_found_where_nothing_happened() -> None:
    assert judge(QUIET) == []


def test_two_that_answer_are_found_but_for_an_instant() -> None:
    """R-I1."""
    assert rules(answered(QUIET, (102, BOTH), (102.2, ONE))) == []
    assert rules(answered(QUIET, (102, BOTH), (103, ONE))) == ["one node answers for an address"]


def test_two_sides_of_a_cut_are_both_right_until_they_hear_each_other() -> None:
    cut = replace(MOVES, terms=replace(MOVES.terms, split=True), ended_s=105)
    assert rules(answered(cut, (103, BOTH), (106, ONE))) == []
    assert rules(answered(cut, (103, BOTH), (108, ONE))) == ["one node answers for an address"]


def test_an_address_may_be_silent_as_long_as_a_takeover_takes_where_one_is_due() -> None:
    """R-I6."""
    silent = ((102, NOBODY), (105.6, TWO))
    assert rules(answered(MOVES, *silent)) == []
    assert rules(answered(QUIET, *silent)) == ["an address is answered for"]
    assert rules(answered(MOVES, (102, NOBODY), (108, TWO))) == ["an address is answered for"]


def test_what_happened_while_the_machine_stood_still_proves_nothing() -> None:
    silent = answered(QUIET, (102, NOBODY), (105.6, ONE))
    assert rules(replace(silent, blind=[(102.1, 105.5), (103, 104)])) == []
    moved = replace(QUIET, steps=[step(2, "MASTER", "BACKUP")], told={"d1": [("VI", "BACKUP")]})
    assert rules(replace(moved, blind=[(102, 103.5)])) == []
    assert rules(replace(moved, blind=[(102, 102.5)])) == ["no transition without a cause"]


def test_a_transition_needs_a_cause_in_the_trouble_and_a_sentence() -> None:
    """R-I5."""
    seen = replace(QUIET, steps=[step(2, "MASTER", "BACKUP", "")], told={"d1": [("VI", "BACKUP")]})
    assert rules(seen) == ["every transition has a cause", "no transition without a cause"]
    assert rules(replace(seen, terms=MOVES.terms)) == ["every transition has a cause"]


def test_a_backup_whose_process_was_killed_may_begin_anew_and_nobody_else() -> None:
    killed = replace(QUIET, terms=Terms(anew=True))
    begins = replace(killed, steps=[step(2, "INIT", "BACKUP")], told={"d1": [("VI", "BACKUP")]})
    assert rules(begins) == []
    assert rules(replace(begins, terms=Terms())) == ["no transition without a cause"]


def test_a_router_that_goes_to_and_fro_is_found() -> None:
    """R-I11."""
    states = ["BACKUP", "MASTER"] * 3
    steps = [step(number, "MASTER", state) for number, state in enumerate(states, 2)]
    steps = [replace(each, from_state="FAULT") for each in steps]
    told = {"d1": [("VI", state) for state in states]}
    assert rules(replace(MOVES, steps=steps, told=told)) == ["a router comes to rest"]


@pytest.mark.parametrize(
    ("told", "whole", "part"),
    [
        (["BACKUP", "MASTER"], True, True),
        (["MASTER", "BACKUP"], False, False),
        (["BACKUP", "BACKUP", "MASTER"], False, False),
        (["MASTER"], False, True),
    ],
)
def test_scripts_are_told_in_order_and_once(told: list[str], whole: bool, part: bool) -> None:
    """A step is missing only where it may be; never is one told twice, or before the one before."""
    steps = [step(3, "BACKUP", "MASTER"), step(2, "MASTER", "BACKUP")]
    seen = replace(MOVES, steps=steps, told={"d1": [("VI", state) for state in told]})
    rule = "scripts are told of each transition, in order, once"
    assert rules(seen) == ([] if whole else [rule])
    assert rules(replace(seen, terms=replace(seen.terms, untold=True))) == ([] if part else [rule])


def test_a_master_that_heard_a_lower_one_has_not_moved_for_the_general_script() -> None:
    assert rules(replace(MOVES, steps=[step(2, "MASTER", "MASTER")])) == []


def test_what_stays_unwell_what_cries_and_what_no_journal_has_are_found() -> None:
    seen = replace(QUIET, unsettled=["d1 does not run"], cries=["Traceback"], untraced=["VI 2"])
    assert [finding.seen for finding in judge(seen)] == ["d1 does not run", "Traceback", "VI 2"]


def test_growth_is_what_even_the_smallest_of_the_end_has_more_than_the_largest_of_the_beginning() -> None:
    steady = [Size(30_000 + 500 * (number % 3), 20) for number in range(12)]
    assert growth({"d1 hub": steady}) == []
    grown = [Size(30_000 + 1000 * number, 20 + number) for number in range(12)]
    assert [finding.rule for finding in growth({"d1 hub": grown})] == [
        "memory does not grow",
        "descriptors are given back",
    ]
