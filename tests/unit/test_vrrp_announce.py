"""When announcements are sent: G4, G5, and that leaving master empties what waits."""

from __future__ import annotations

from keepbus_vrrp.announce import Announcer, Frame
from keepbus_vrrp.effects import Announce
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.turn import Turn

MS = 1_000_000


class Announced:
    """An announcer with two addresses on one interface, and what it sent when."""

    def __init__(self, interval_us: int = 0) -> None:
        self.turn = Turn()
        self.announcer = Announcer(self.turn, self._frames)
        self.announcer.space(interval_us, interval_us)
        self.sent: list[tuple[int, bytes]] = []

    @staticmethod
    def _frames(_addresses: tuple[Address, ...] | None) -> list[Frame]:
        return [("eth0", b"a"), ("eth0", b"b")]

    def collect(self) -> None:
        for effect in self.turn.effects:
            assert isinstance(effect, Announce)
            self.sent.extend((self.turn.now_ns // MS, frame) for _, frame in effect.frames)
        self.turn.effects = []

    def run(self, until_ms: int) -> None:
        self.collect()
        while (at_ns := self.turn.timers.next_at_ns()) is not None and at_ns <= until_ms * MS:
            self.turn.now_ns = at_ns
            self.turn.timers.fire(at_ns)
            self.collect()


def test_g4_two_bursts() -> None:
    it = Announced()
    it.announcer.burst(5)
    it.announcer.burst(5, delay_us=5_000_000)
    it.run(60_000)
    assert [moment for moment, _ in it.sent] == [0] * 10 + [5000] * 10
    assert [frame for _, frame in it.sent[:4]] == [b"a", b"b", b"a", b"b"]  # round by round


def test_periodic_refresh() -> None:
    it = Announced()
    it.announcer.burst(1, delay_us=1_000_000, repeat_us=1_000_000)
    it.run(3_500)
    assert [moment for moment, _ in it.sent] == [1000, 1000, 2000, 2000, 3000, 3000]


def test_g5_spacing_delays_in_order_and_loses_nothing() -> None:
    it = Announced(interval_us=100_000)
    it.announcer.burst(3)
    it.run(60_000)
    assert it.sent == [(0, b"a"), (100, b"b"), (200, b"a"), (300, b"b"), (400, b"a"), (500, b"b")]


def test_g5_leaving_master_empties_the_queue() -> None:
    it = Announced(interval_us=100_000)
    it.announcer.burst(5)
    it.announcer.burst(5, delay_us=5_000_000)
    it.run(150)
    it.announcer.stop()
    it.run(60_000)
    assert len(it.sent) == 2
