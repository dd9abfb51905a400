"""The loop's law: news before the clock, one stamp per turn, answers at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from keepbus.runtime.loop import Loop, boottime_ns

MS = 1_000_000


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * MS

    def __call__(self) -> int:
        return self.now_ns


class Witness:
    """A machine that writes down its turns and stops the loop after `turns` of them."""

    def __init__(self, loop: Loop, turns: int) -> None:
        self.loop = loop
        self.left = turns
        self.seen: list[tuple[int, list[Any]]] = []
        self.deadline_ns: int | None = None
        self.effects: list[Any] = []

    def turn(self, now_ns: int, events: Sequence[Any]) -> list[Any]:
        self.seen.append((now_ns, list(events)))
        if self.deadline_ns is not None and self.deadline_ns <= now_ns:
            self.deadline_ns = None
        self.left -= 1
        if self.left == 0:
            self.loop.stop()
        effects, self.effects = self.effects, []
        return effects

    def wake_at_ns(self) -> int | None:
        return self.deadline_ns


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_what_waits_in_a_socket_comes_before_an_expired_deadline(pipe: tuple[int, int]) -> None:
    """After a stall longer than its deadline the machine still gets the news and the tick in one turn."""
    reader, writer = pipe
    clock = Clock()
    loop = Loop(clock)
    machine = Witness(loop, turns=2)
    machine.deadline_ns = clock.now_ns + 10 * MS

    def stall(_effect: Any, _now_ns: int) -> None:
        clock.now_ns += 500 * MS
        os.write(writer, b"advert")

    machine.effects = ["stall"]
    loop.watch(reader, lambda _mask: [os.read(reader, 100)])
    loop.run(machine, stall, ["first"])
    assert machine.seen[0][1] == ["first"]
    assert machine.seen[1] == (clock.now_ns, [b"advert"])
    assert loop.take_lateness_us() == 490_000
    assert loop.take_lateness_us() == 0


def test_news_that_comes_after_the_wait_is_still_believed_first(pipe: tuple[int, int]) -> None:
    """Between the end of the wait and the stamp an advert arrives: the due turn must contain it."""
    reader, writer = pipe
    ticks = iter([0, 0, 0, 20 * MS, 20 * MS, 20 * MS])

    def clock() -> int:
        now_ns = next(ticks)
        if now_ns:  # the stamp: at this very moment an advert is in the socket
            os.write(writer, b"advert")
        return now_ns

    loop = Loop(clock)
    machine = Witness(loop, turns=2)
    machine.deadline_ns = 1 * MS
    loop.watch(reader, lambda _mask: [os.read(reader, 100)])
    loop.run(machine, lambda _effect, _now_ns: None)
    assert machine.seen[1] == (20 * MS, [b"advert"])


def test_an_answer_of_an_effect_is_handed_over_at_once() -> None:
    clock = Clock()
    loop = Loop(clock)
    machine = Witness(loop, turns=2)
    machine.effects = ["ask"]
    loop.run(machine, lambda effect, _now_ns: [f"{effect} answered"], ["first"])
    assert machine.seen == [(clock.now_ns, ["first"]), (clock.now_ns, ["ask answered"])]


def test_a_reader_that_leaves_something_is_called_again(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, b"ab")
    loop = Loop(Clock())
    machine = Witness(loop, turns=3)
    loop.watch(reader, lambda _mask: [os.read(reader, 1)])
    loop.run(machine, lambda _effect, _now_ns: None)
    assert [events for _, events in machine.seen] == [[], [b"a"], [b"b"]]


def test_chores_run_between_turns_without_a_turn() -> None:
    loop = Loop()
    machine = Witness(loop, turns=5)
    calls: list[int] = []

    def chore(now_ns: int) -> None:
        calls.append(now_ns)
        if len(calls) == 3:
            loop.stop()

    loop.every(1, chore)
    loop.run(machine, lambda _effect, _now_ns: None)
    assert len(calls) == 3
    assert len(machine.seen) == 1


def test_a_reader_may_close_another_reader_of_the_same_turn(pipe: tuple[int, int]) -> None:
    first = os.eventfd(1, os.EFD_NONBLOCK)
    second = os.eventfd(1, os.EFD_NONBLOCK)
    loop = Loop(Clock())
    machine = Witness(loop, turns=2)

    def close_other(own: int, other: int) -> list[str]:
        loop.unwatch(other)
        os.eventfd_read(own)
        return [f"{own}"]

    loop.watch(first, lambda _mask: close_other(first, second))
    loop.watch(second, lambda _mask: close_other(second, first))
    loop.run(machine, lambda _effect, _now_ns: None)
    assert len(machine.seen[1][1]) == 1
    os.close(first)
    os.close(second)


def test_a_forgotten_descriptor_may_be_closed_and_its_number_used_anew(pipe: tuple[int, int]) -> None:
    loop = Loop()
    reader, writer = os.pipe()
    os.write(writer, b"old")
    loop.watch(reader, lambda _mask: pytest.fail("the forgotten reader was called"))
    loop.forget(reader)
    os.close(reader)
    fresh = os.dup(pipe[0])
    assert fresh == reader, "the kernel gives the lowest free number"
    machine = Witness(loop, turns=2)
    loop.watch(fresh, lambda _mask: [os.read(fresh, 100)])
    os.write(pipe[1], b"new")
    loop.run(machine, lambda _effect, _now_ns: None)
    assert [events for _, events in machine.seen] == [[], [b"new"]]
    os.close(fresh)
    os.close(writer)


def test_events_of_a_chore_make_a_turn() -> None:
    clock = Clock()
    loop = Loop(clock)
    machine = Witness(loop, turns=2)
    loop.every(5 * MS, lambda _now_ns: ["the clock was set"])

    def later(_effect: Any, _now_ns: int) -> None:
        clock.now_ns += 6 * MS

    machine.effects = ["later"]
    loop.run(machine, later)
    assert machine.seen[1] == (clock.now_ns, ["the clock was set"])


def test_a_long_wait_ends_at_its_deadline_not_at_the_next_millisecond() -> None:
    """epoll alone would always be late, by half a millisecond in the mean."""
    lateness_us = []
    for _ in range(10):
        loop = Loop()
        machine = Witness(loop, turns=2)
        machine.deadline_ns = boottime_ns() + 7_100_000
        loop.run(machine, lambda _effect, _now_ns: None)
        lateness_us.append(loop.take_lateness_us())
        assert machine.seen[1][1] == []
    assert min(lateness_us) < 500


def test_news_that_keeps_coming_is_read_many_at_once(pipe: tuple[int, int]) -> None:
    """A patient descriptor is looked into every gather_ns, and waited for again when nothing comes."""
    reader, writer = pipe
    loop = Loop()
    loop.gather_ns = 20 * MS
    machine = Witness(loop, turns=1000)
    loop.watch(reader, lambda _mask: [os.read(reader, 100)], patient=True)
    news: list[int] = []

    def talker() -> None:
        for _ in range(150):
            os.write(writer, b".")
            time.sleep(0.001)
        time.sleep(0.3)  # far more than five empty looks
        news.append(loop.rounds)
        os.write(writer, b"!")
        time.sleep(0.1)
        news.append(loop.rounds)
        machine.left = 1
        os.write(writer, b"end")

    thread = threading.Thread(target=talker)
    thread.start()
    loop.run(machine, lambda _effect, _now_ns: None)
    thread.join()
    heard = [news for _, events in machine.seen for news in events]
    assert b"".join(heard) == b"." * 150 + b"!end"
    # The first few come one by one; a poll each 20 ms would be 8 for the rest.
    assert len(heard) < 40
    assert news[1] - news[0] == 1, "one look for one octet, none in between"


def test_polling_ends_at_a_deadline_with_a_last_look(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    loop = Loop()
    loop.gather_ns = 500 * MS
    machine = Witness(loop, turns=4)
    loop.watch(reader, lambda _mask: [os.read(reader, 100)], patient=True)

    def say(_effect: Any, _now_ns: int) -> None:
        os.write(writer, b"advert")
        if loop.turns < 3:
            machine.effects = ["again"]
        else:
            machine.deadline_ns = boottime_ns() + 30 * MS
            due_at_ns.append(machine.deadline_ns)

    due_at_ns: list[int] = []
    machine.effects = ["again"]
    loop.run(machine, say)
    # News in two turns, so it polls; what came then is read when the deadline is due, not 500 ms later.
    (_, first), (_, second), (at_ns, last) = machine.seen[1:]
    assert (first, second, last) == ([b"advert"], [b"advert"], [b"advert"])
    assert 0 <= at_ns - due_at_ns[0] < 100 * MS


def test_others_are_heard_at_once_while_the_patient_are_polled(pipe: tuple[int, int]) -> None:
    """A link that goes down, a signal: no gathering holds them up."""
    reader, writer = pipe
    urgent = os.eventfd(0, os.EFD_NONBLOCK)
    loop = Loop()
    loop.gather_ns = 2_000 * MS
    machine = Witness(loop, turns=4)
    loop.watch(reader, lambda _mask: [os.read(reader, 100)], patient=True)
    loop.watch(urgent, lambda _mask: [os.eventfd_read(urgent)])

    def say(_effect: Any, _now_ns: int) -> None:
        if loop.turns < 3:
            os.write(writer, b"advert")
            machine.effects = ["again"]
        else:
            os.write(writer, b"later")
            os.eventfd_write(urgent, 7)

    machine.effects = ["again"]
    began_ns = boottime_ns()
    loop.run(machine, say)
    assert [events for _, events in machine.seen[1:]] == [[b"advert"], [b"advert"], [7]]
    assert boottime_ns() - began_ns < 1_000 * MS
    os.close(urgent)
