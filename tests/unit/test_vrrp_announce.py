"""When announcements are sent: G4, G5, and that leaving master empties what waits."""

from __future__ import annotations

from keepbus_vrrp.announce import Announcer, Frame
from keepbus_vrrp.effects import Announce
from keepbus_vrrp.netlink import Address
from keepbus_vrrp.turn import Turn

from keepbus.config.model.vrrp import GarpGroup, VrrpSection

MS = 1_000_000
A, B = (bytes(12) + b"\x08\x06" + end for end in (b"a", b"b"))


class Announced:
    """An announcer with two addresses on one interface, and what it sent when."""

    def __init__(self, interval_us: int = 0) -> None:
        self.turn = Turn()
        self.announcer = Announcer(self.turn, self._frames)
        self.turn.pacing.configure(VrrpSection(garp_interval_us=interval_us))
        self.sent: list[tuple[int, bytes]] = []

    @staticmethod
    def _frames(_addresses: tuple[Address, ...] | None) -> list[Frame]:
        return [("eth0", A), ("eth0", B)]

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
    assert [frame for _, frame in it.sent[:4]] == [A, B, A, B]  # round by round


def test_periodic_refresh() -> None:
    it = Announced()
    it.announcer.burst(1, delay_us=1_000_000, repeat_us=1_000_000)
    it.run(3_500)
    assert [moment for moment, _ in it.sent] == [1000, 1000, 2000, 2000, 3000, 3000]


def test_g5_spacing_delays_in_order_and_loses_nothing() -> None:
    it = Announced(interval_us=100_000)
    it.announcer.burst(3)
    it.run(60_000)
    assert it.sent == [(0, A), (100, B), (200, A), (300, B), (400, A), (500, B)]


def test_g5_leaving_master_empties_the_queue() -> None:
    it = Announced(interval_us=100_000)
    it.announcer.burst(5)
    it.announcer.burst(5, delay_us=5_000_000)
    it.run(150)
    it.announcer.stop()
    it.run(60_000)
    assert len(it.sent) == 2


class Two:
    """Two interfaces, one announcer each, that share a process."""

    def __init__(self, section: VrrpSection, frame: bytes = A) -> None:
        self.turn = Turn()
        self.turn.pacing.configure(section)
        self.announcers = [
            Announcer(self.turn, lambda _addresses, name=name: [(name, frame)])  # type: ignore[misc]
            for name in ("eth0", "eth1")
        ]

    def run(self, rounds: int) -> list[tuple[int, str]]:
        sent: list[tuple[int, str]] = []
        for announcer in self.announcers:
            announcer.burst(rounds)
        while True:
            for effect in self.turn.effects:
                assert isinstance(effect, Announce)
                sent.extend((self.turn.now_ns // MS, name) for name, _ in effect.frames)
            self.turn.effects = []
            at_ns = self.turn.timers.next_at_ns()
            if at_ns is None:
                return sent
            self.turn.now_ns = at_ns
            self.turn.timers.fire(at_ns)


def test_g5_each_interface_has_its_own_pace() -> None:
    sent = Two(VrrpSection(garp_interval_us=100_000)).run(2)
    assert sorted(sent) == [(0, "eth0"), (0, "eth1"), (100, "eth0"), (100, "eth1")]


def test_g5_a_garp_group_has_one_pace() -> None:
    group = GarpGroup(interfaces=("eth0", "eth1"), garp_interval_us=100_000)
    sent = Two(VrrpSection(garp_groups=(group,))).run(2)
    assert sorted(moment for moment, _ in sent) == [0, 100, 200, 300]
    assert sorted(name for _, name in sent) == ["eth0", "eth0", "eth1", "eth1"]


def test_g5_neighbour_advertisements_have_a_pace_of_their_own() -> None:
    section = VrrpSection(garp_interval_us=1_000_000, gna_interval_us=50_000)
    advertisement = bytes(12) + b"\x86\xdd"
    assert sorted(Two(section, advertisement).run(2)) == [
        (0, "eth0"),
        (0, "eth1"),
        (50, "eth0"),
        (50, "eth1"),
    ]
