"""What the kernel answered to adverts and addresses, and what follows for the instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import events, family, publication
from keepbus_vrrp.confirmation import confirm
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.lease import outlived, step_down
from keepbus_vrrp.timers import NS_PER_US

_TRIES_PER_INTERVAL = 4


class Answers:
    """For all instances of the node."""

    def __init__(
        self,
        instances: Mapping[str, Instance],
        refused_elsewhere: Callable[[events.InstallFailed], None],
        say_report: Callable[[], None],
    ) -> None:
        """refused_elsewhere: hears of addresses that are not an instance's."""
        self._instances = instances
        self._refused_elsewhere = refused_elsewhere
        self._say_report = say_report
        self.handlers: dict[type, Callable[[Any], None]] = {
            events.TransmitFailed: self._transmit_failed,
            events.TransmitRecovered: self._transmit_recovered,
            events.Installed: self._installed,
            events.InstallFailed: self._install_failed,
            events.GateChanged: self._gate_changed,
        }

    def _transmit_failed(self, event: events.TransmitFailed) -> None:
        instance = self._instances.get(event.instance)
        if instance is None or instance.state is not VrrpState.MASTER:
            return
        if event.error != instance.lease.error:
            text = f"{instance.config.name}: an advert did not leave: {event.error}"
            instance.turn.effects.append(Log("warning", text))
        instance.lease.refuse(event.error)
        instance.counters.adverts_sent -= 1
        if outlived(instance):
            step_down(instance)
        else:
            now_ns, timer = instance.turn.now_ns, instance.timer
            again_at_ns = now_ns + instance.terms.interval_us * NS_PER_US // _TRIES_PER_INTERVAL
            # A full queue is empty soon. After the end nothing proves that nobody else took over.
            again_at_ns = min(timer.due_at_ns, again_at_ns, instance.lease.end_ns + 1)
            instance.turn.timers.arm_renewal(timer, again_at_ns)

    def _transmit_recovered(self, event: events.TransmitRecovered) -> None:
        instance = self._instances.get(event.instance)
        if instance is not None and instance.lease.error:
            instance.lease.error = ""
            instance.turn.effects.append(Log("info", f"{instance.config.name}: adverts leave again"))

    def _installed(self, event: events.Installed) -> None:
        instance = self._instances.get(event.instance)
        if instance is not None:
            confirm(instance, event.announce)

    def _install_failed(self, event: events.InstallFailed) -> None:
        instance = self._instances.get(event.instance)
        if instance is None:
            self._refused_elsewhere(event)
            return
        if event.address in instance.failed:
            return
        instance.failed.add(event.address)
        if event.address in instance.refused_before:
            return
        refused = f"{instance.config.name}: the kernel refuses {family.text(event.address)}: {event.error}"
        instance.turn.effects += (
            publication.address(instance, event.address, "failed", event.error),
            Log("error", refused),
        )

    def _gate_changed(self, event: events.GateChanged) -> None:
        gated = [each for each in self._instances.values() if each.terms.gated]
        if not gated or event.error == gated[0].turn.guarding.error:
            return
        turn = gated[0].turn
        turn.guarding.error = event.error
        if event.error:
            turn.effects.append(Log("error", f"no address lease below 1 s: {event.error}"))
        for instance in gated:
            instance.publish()
        self._say_report()
