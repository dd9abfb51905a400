"""Feeds notify's machine and reads what it wished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keepbus_notify.effects import AppendLedger, LedgerEntry, StartScript
from keepbus_notify.events import LedgerRead, ScriptEnded
from keepbus_notify.machine import DEFAULT_TIME_LIMIT_NS, Machine

from keepbus.config.model.notify import NotifySection, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts.message import Header, Message
from keepbus.contracts.vrrp import Instance, Transition, VrrpState
from keepbus.runtime.machine import BusMessage, Configured, Publish, Report

MASTER, BACKUP, FAULT, STOP, INIT = (
    VrrpState.MASTER,
    VrrpState.BACKUP,
    VrrpState.FAULT,
    VrrpState.STOP,
    VrrpState.INIT,
)
STARTED_WALL_NS = 1_000_000
HISTORY = 16


def target(name: str = "VI_1", **scripts: str) -> NotifyTarget:
    return NotifyTarget(name=name, **{keyword: Script(argv=(path,)) for keyword, path in scripts.items()})


ALL = target(notify_master="/m", notify_backup="/b", notify_fault="/f", notify_stop="/s", notify="/any")


class Play:
    """A machine that is fed, and what it wished."""

    def __init__(
        self,
        *targets: NotifyTarget,
        ledger: Sequence[LedgerEntry] = (),
        limit_ns: int = DEFAULT_TIME_LIMIT_NS,
    ) -> None:
        self.machine = Machine(limit_ns)
        self.now_ns = 10_000_000_000
        self.effects: list[Any] = []
        section = NotifySection(targets=targets or (ALL,))
        self.turn(Configured(1, section, STARTED_WALL_NS))
        self.turn(LedgerRead(tuple(ledger)))
        self.seq = 0

    def turn(self, *events: Any, after_ns: int = 0) -> list[Any]:
        self.now_ns += after_ns
        self.effects = list(self.machine.turn(self.now_ns, events))
        return self.effects

    def heard(
        self, *states: VrrpState, name: str = "VI_1", life: str = "L1", wall_ns: int = STARTED_WALL_NS
    ) -> list[Any]:
        """The instance's state after it went through these from INIT, with as much history as it keeps."""
        steps = [INIT, *states]
        history = tuple(
            Transition(
                number=i,
                from_state=steps[i - 1],
                to_state=steps[i],
                at_ns=wall_ns,
                cause="c",
                priority=100 + i,
            )
            for i in range(1, len(steps))
        )
        body = Instance(
            name=name, interface="eth0", family="IPv4", virtual_router_id=1, version=2, life=life,
            state=steps[-1], transitions=len(states), since_ns=1, cause="c", base_priority=100,
            effective_priority=100, advert_interval_us=1, master_down_interval_us=3, master_address="",
            master_priority=0, virtual_addresses=(), holds_addresses=False, lease_us=0,
            history=history[-HISTORY:],
        )  # fmt: skip
        return self.message(body, name)

    def message(self, body: Instance | None, name: str = "VI_1") -> list[Any]:
        self.seq += 1
        header = Header(1, "d1", "vrrp", "b", self.seq, self.seq, 1, 1, "")
        return self.turn(BusMessage(Message(f"state/vrrp/instance/{name}", header, body), 2))

    def ended(self, exit_status: int = 0, error: str = "", run: int | None = None) -> list[Any]:
        started = self.last_run if run is None else run
        return self.turn(ScriptEnded(started, exit_status, 5, 7, "nobody", error))

    @property
    def last_run(self) -> int:
        return self.machine._scripts.runs

    def started(self) -> list[tuple[str, ...]]:
        return [effect.command.argv for effect in self.effects if type(effect) is StartScript]

    def published(self, kind: type) -> list[Any]:
        return [e.body for e in self.effects if type(e) is Publish and type(e.body) is kind]

    def ledger(self) -> list[AppendLedger]:
        return [effect for effect in self.effects if type(effect) is AppendLedger]

    def all_ends(self) -> list[tuple[str, ...]]:
        """Let one script after the other end well; what was started, in order."""
        order = []
        while started := self.started():
            order += started
            self.ended()
        return order

    def reported(self) -> list[Report]:
        return [effect for effect in self.effects if type(effect) is Report]
