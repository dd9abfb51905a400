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


class Answers:
    """For all instances of the node."""

    def __init__(
        self, instances: Mapping[str, Instance], refused_elsewhere: Callable[[events.InstallFailed], None]
    ) -> None:
        """refused_elsewhere: hears of addresses that are not an instance's."""
        self._instances = instances
        self._refused_elsewhere = refused_elsewhere
        self.handlers: dict[type, Callable[[Any], None]] = {
            events.TransmitFailed: self._transmit_failed,
            events.TransmitRecovered: self._transmit_recovered,
            events.Installed: self._installed,
            events.InstallFailed: self._install_failed,
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
        refused = f"{instance.config.name}: the kernel refuses {family.text(event.address)}: {event.error}"
        instance.turn.effects += (
            publication.address(instance, event.address, "failed", event.error),
            Log("error", refused),
        )
