"""Intervals of conformance section 7, and the lazy heap."""

from __future__ import annotations

import random

import pytest
from keepbus_vrrp.timers import (
    NEVER,
    Timer,
    Timers,
    kernel_can_lease,
    lease_us,
    master_down_interval_us,
    skew_time_us,
)


@pytest.mark.parametrize(
    ("version", "interval_ms", "priority", "skew_ms", "down_ms"),
    [
        (2, 1_000, 1, 996.09375, 3996.09375),
        (2, 1_000, 100, 609.375, 3609.375),
        (2, 1_000, 200, 218.75, 3218.75),
        (2, 1_000, 254, 7.8125, 3007.8125),
        (2, 1_000, 255, 3.90625, 3003.90625),
        (2, 10_000, 100, 609.375, 30609.375),
        (2, 255_000, 100, 609.375, 765609.375),
        (3, 10, 100, 6.09375, 36.09375),
        (3, 10, 254, 0.078125, 30.078125),
        (3, 100, 100, 60.9375, 360.9375),
        (3, 250, 100, 152.34375, 902.34375),
        (3, 500, 200, 109.375, 1609.375),
        (3, 1_000, 100, 609.375, 3609.375),
        (3, 1_000, 254, 7.8125, 3007.8125),
        (3, 3_330, 77, 2328.3984375, 12318.3984375),
        (3, 40_950, 100, 24953.90625, 147803.90625),
        (3, 40_950, 254, 319.921875, 123169.921875),
    ],
)
def test_t1_t2_t3_t4_t5_intervals(
    version: int, interval_ms: int, priority: int, skew_ms: float, down_ms: float
) -> None:
    """The table of conformance section 7; whole microseconds, rounded up."""
    interval_us = interval_ms * 1000
    skew_us = skew_time_us(version, priority, interval_us)
    down_us = master_down_interval_us(version, priority, interval_us)
    assert 0 <= skew_us - skew_ms * 1000 < 1
    assert 0 <= down_us - down_ms * 1000 < 1


def test_lease_is_twice_the_interval_in_whole_seconds_of_the_kernel() -> None:
    assert lease_us(1_000_000, in_kernel=True) == 2_000_000
    assert lease_us(1_740_000, in_kernel=True) == 3_000_000
    assert lease_us(100_000, in_kernel=False) == 200_000
    assert kernel_can_lease(1_000_000)
    assert not kernel_can_lease(999_999)


def test_lease_ends_before_the_earliest_takeover() -> None:
    """Three intervals and the least skew, whatever the interval."""
    for interval_ms in range(1_000, 40_960, 10):
        assert lease_us(interval_ms * 1000, in_kernel=True) <= 2 * interval_ms * 1000
        assert lease_us(interval_ms * 1000, in_kernel=True) >= 1.3 * interval_ms * 1000


class Alarm:
    """A timer that writes down when it fired."""

    def __init__(self) -> None:
        self.fired: list[int] = []
        self.timer = Timer(self.fired.append)


def test_a_timer_that_is_moved_later_fires_once_at_the_later_moment() -> None:
    timers, alarm = Timers(), Alarm()
    for moment in (10, 20, 30):
        timers.arm(alarm.timer, moment)
    assert timers.next_at_ns() == 30
    timers.fire(29)
    assert alarm.fired == []
    timers.fire(30)
    timers.fire(100)
    assert alarm.fired == [30]
    assert timers.next_at_ns() is None


def test_t11_a_timer_that_is_moved_earlier_or_cancelled_leaves_nothing_behind() -> None:
    timers, alarm = Timers(), Alarm()
    timers.arm(alarm.timer, 30)
    timers.arm(alarm.timer, 10)
    timers.fire(10)
    timers.fire(100)
    assert alarm.fired == [10]
    timers.arm(alarm.timer, 200)
    timers.cancel(alarm.timer)
    assert timers.next_at_ns() is None
    assert alarm.timer.armed_at_ns == NEVER


def test_many_timers_at_once_are_fired_in_turns() -> None:
    timers = Timers()
    alarms = [Alarm() for _ in range(50)]
    for alarm in alarms:
        timers.arm(alarm.timer, 5)
    turns = 0
    while timers.next_at_ns() is not None:
        timers.fire(5)
        turns += 1
    assert turns == 4
    assert all(alarm.fired == [5] for alarm in alarms)


def test_masters_come_first_and_many_of_them_hold_nobody_up() -> None:
    """A lease that ends is worse than an address that comes a little later, but it comes."""
    timers = Timers()
    order: list[str] = []
    for number in range(100):
        timers.arm(Timer(lambda _due_at_ns: order.append("takeover")), number)
        timers.arm_renewal(Timer(lambda _due_at_ns: order.append("advert")), 1000 + number)
    assert timers.next_renewal_at_ns() == 1000
    timers.fire(5000)
    assert order == ["advert"] * 64 + ["takeover"] * 16
    timers.fire(5000)
    assert order[80:] == ["advert"] * 36 + ["takeover"] * 16


def test_a_master_that_becomes_backup_does_not_stand_among_the_masters() -> None:
    timers = Timers()
    timer = Timer(lambda _due_at_ns: None)
    timers.arm_renewal(timer, 10)
    timers.cancel(timer)
    timers.arm(timer, 20)
    assert (timers.next_renewal_at_ns(), timers.next_at_ns()) == (None, 20)


def test_against_a_plain_list_of_moments() -> None:
    random_ = random.Random(1)
    timers = Timers()
    alarms = [Alarm() for _ in range(20)]
    wanted: dict[int, int] = {}
    now = 0
    for _ in range(5000):
        index = random_.randrange(20)
        match random_.randrange(3):
            case 0:
                timers.cancel(alarms[index].timer)
                wanted.pop(index, None)
            case _:
                wanted[index] = now + random_.randrange(1, 100)
                arm = random_.choice((timers.arm, timers.arm_renewal))
                arm(alarms[index].timer, wanted[index])
        assert timers.next_at_ns() == min(wanted.values(), default=None)
        now += random_.randrange(5)
        due = {index for index, moment in wanted.items() if moment <= now}
        while (next_at := timers.next_at_ns()) is not None and next_at <= now:
            timers.fire(now)
        for index, alarm in enumerate(alarms):
            assert alarm.fired == ([wanted[index]] if index in due else [])
            alarm.fired.clear()
        for index in due:
            del wanted[index]


def test_adverts_due_close_to_one_that_leaves_go_with_it() -> None:
    timers = Timers()
    sent: list[str] = []

    def advert(name: str, due_at_ns: int, *, again: bool = False) -> None:
        timer = Timer(
            lambda _due_at_ns: sent.append(name) or (again and timers.arm_renewal(timer, 1005, early_ns=5))
        )
        timers.arm_renewal(timer, due_at_ns, early_ns=5)

    advert("first", 1000, again=True)
    advert("close", 1004)
    advert("far", 1006)
    timers.fire(999)
    assert sent == []  # close to each other, but none is due
    timers.fire(1000)
    # The first one's next advert is close as well: it is not sent twice in a turn.
    assert sent == ["first", "close"]
