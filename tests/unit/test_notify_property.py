"""Whatever is lost, repeated or killed: in order, at most once, and nothing forgotten in the history."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from keepbus_notify.effects import AppendLedger, LedgerEntry, StartScript
from keepbus_notify.events import LedgerRead, ScriptEnded
from keepbus_notify.machine import Machine

from keepbus.config.model.notify import NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts.message import Header, Message
from keepbus.contracts.vrrp import Instance, Transition, VrrpState
from keepbus.runtime.machine import BusMessage, Configured

STATES = (VrrpState.BACKUP, VrrpState.MASTER, VrrpState.FAULT)
HISTORY = 16
SECTION = NotifySection(
    targets=(
        NotifyTarget(
            name="VI_1",
            notify_master=Script(argv=("/m",)),
            notify_backup=Script(argv=("/b",)),
            notify=Script(argv=("/any",)),
        ),
    )
)
STEP = st.one_of(
    st.tuples(st.just("goes"), st.sampled_from(STATES)),
    st.tuples(st.just("hears"), st.none()),
    st.tuples(st.just("ends"), st.integers(-15, 3)),
    st.tuples(st.just("dies"), st.none()),
    # Killed in the middle of a turn's effects, after so many of them were carried out.
    st.tuples(st.just("dies within"), st.integers(0, 4)),
)


class World:
    """An instance, notify, its ledger, and all that was ever started."""

    def __init__(self) -> None:
        self.history: list[Transition] = []
        self.ledger: list[LedgerEntry] = []
        self.started: list[tuple[int, str]] = []
        self.running: int | None = None
        self.now_ns = 0
        self.seq = 0
        self.die_after: int | None = None
        self.begin()

    def begin(self) -> None:
        self.machine = Machine()
        self.running = None
        self.turn(Configured(1, SECTION, 1))
        self.turn(LedgerRead(tuple(self.ledger)))

    def turn(self, *events: Any) -> None:
        self.now_ns += 1
        for index, effect in enumerate(self.machine.turn(self.now_ns, events)):
            if self.die_after is not None and index >= self.die_after:
                self.die_after = None
                self.begin()
                return
            if type(effect) is AppendLedger:
                self.ledger.append(effect.entry)
            elif type(effect) is StartScript:
                assert self.running is None, "two scripts of one instance at a time"
                self.running = effect.run
                number = int(effect.label.split("transition ")[1].rstrip(")"))
                self.started.append((number, effect.command.argv[0]))
        self.die_after = None

    def goes(self, state: VrrpState) -> None:
        dealt_with = self.ledger[-1].number - 1 if self.ledger else 0
        if len(self.history) - dealt_with >= HISTORY:  # what leaves the history is another test
            self.die_after = None
            self.hears()
            self.rests()
        number = len(self.history) + 1
        before = self.history[-1].to_state if self.history else VrrpState.INIT
        if before is state:
            return
        self.history.append(
            Transition(number=number, from_state=before, to_state=state, at_ns=number, cause="c")
        )

    def hears(self) -> None:
        if not self.history:
            return
        self.seq += 1
        body = Instance(
            name="VI_1", interface="eth0", family="IPv4", virtual_router_id=1, version=2, life="L",
            state=self.history[-1].to_state, transitions=len(self.history), since_ns=1, cause="c",
            base_priority=1, effective_priority=1, advert_interval_us=1, master_down_interval_us=3,
            master_address="", master_priority=0, virtual_addresses=(), holds_addresses=False, lease_us=0,
            history=tuple(self.history[-HISTORY:]),
        )  # fmt: skip
        header = Header(1, "d1", "vrrp", "b", self.seq, self.seq, 1, 1, "")
        self.turn(BusMessage(Message("state/vrrp/instance/VI_1", header, body), 2))

    def ends(self, exit_status: int) -> None:
        if self.running is not None:
            run, self.running = self.running, None
            self.turn(ScriptEnded(run, exit_status, 1, 1, "nobody", ""))

    def rests(self) -> None:
        """Every script ends well."""
        while self.running is not None:
            self.ends(0)

    def due(self) -> list[tuple[int, str]]:
        """Every script that a machine which never dies and hears everything would have started."""
        scripts = {
            VrrpState.MASTER: ["/m", "/any"],
            VrrpState.BACKUP: ["/b", "/any"],
            VrrpState.FAULT: ["/any"],
        }
        return [(step.number, script) for step in self.history for script in scripts[step.to_state]]


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_in_order_at_most_once_and_nothing_forgotten(steps: list[tuple[str, Any]]) -> None:
    world = World()
    crashes = 0
    for what, value in steps:
        if what == "goes":
            world.goes(value)
        elif what == "hears":
            world.hears()
        elif what == "ends":
            world.ends(value)
        elif what == "dies":
            world.begin()
        else:
            world.die_after = value
            crashes += 1
    world.die_after = None
    world.hears()
    world.rests()
    assert len(set(world.started)) == len(world.started), "one ran twice"
    due = world.due()
    assert world.started == [one for one in due if one in set(world.started)], "out of order"
    missing = [one for one in due if one not in set(world.started)]
    assert len(missing) <= crashes, "forgotten without a crash in the middle of its start"
