"""What becomes of all that is held in the kernel when something else changes it.

Law of this file: news of a turn are heard to their end before anything is concluded. An interface that goes
down takes addresses and routes with it; the instance is in FAULT then, and nobody removed anything from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keepbus.config.model.vrrp import VrrpSection
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Effect, Log
from keepbus_vrrp import events, family, ipvlan, publication, strangers, vmac
from keepbus_vrrp.accepting import Accepting
from keepbus_vrrp.effects import STATICS, Sysctls, WatchRoutes
from keepbus_vrrp.holdings import Held, Holdings, is_tracked
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import AddressMessage
from keepbus_vrrp.statics import Statics
from keepbus_vrrp.turn import Turn


class Upkeep:
    """Of routes, rules and static objects; addresses are in strangers.py."""

    def __init__(
        self,
        turn: Turn,
        instances: Mapping[str, Instance],
        vmacs: vmac.VirtualInterfaces,
        report: Callable[[], list[Effect]],
    ) -> None:
        """report: what the service says of itself, which may have changed."""
        self._report = report
        self._turn = turn
        self._vmacs = vmacs
        self._instances = instances
        self.statics = Statics(turn)
        self._watching = False
        self._accepting = Accepting(turn)
        self._section = VrrpSection()
        self._settings: dict[str, str] = {}
        """Of the kernel, by path below /proc/sys."""
        self._lost: list[Callable[[Holdings], Held | None]] = []
        self._addresses: list[AddressMessage] = []
        self._links: list[str] = []
        self.handlers: dict[type, Callable[[Any], None]] = {
            events.Refused: self._on_refused,
            events.RouteChanged: lambda event: self._lost.append(lambda held: held.lost_route(event.route)),
            events.RuleRemoved: lambda event: self._lost.append(lambda held: held.lost_rule(event.rule)),
            events.RoutesRead: self._on_routes_read,
            events.DenyChanged: lambda event: self._accepting.changed(event.error),
        }

    def configure(self, section: VrrpSection) -> None:
        """Take a configuration whose instances run already."""
        statics = ipvlan.statics(section)
        routes = (
            statics.routes
            or statics.rules
            or any(each.virtual_routes or each.virtual_rules for each in section.instances)
        )
        if bool(routes) is not self._watching:
            self._watching = bool(routes)
            self._turn.effects.append(WatchRoutes(self._watching))
        if statics != self.statics.wanted:
            self.statics.apply(statics)
        self._accepting.settle(section)

    def prepare(self, section: VrrpSection) -> None:
        """Have what must be there before instances of this configuration hold an address."""
        self._set_sysctls(section)
        self._accepting.prepare(section)

    def _set_sysctls(self, section: VrrpSection) -> None:
        self._section = section
        promoting = (each.interface for each in section.instances if each.promote_secondaries)
        settings = {f"net/ipv4/conf/{interface}/promote_secondaries": "1" for interface in promoting}
        settings |= vmac.sysctls(section, self._turn.links)
        if section.disable_local_igmp:
            settings[_LOCAL_REPORTS] = "0"
        if settings != self._settings:
            self._settings = settings
            self._ask_settings()

    def kernel_read(self) -> None:
        """Everything is known anew: an interface that was made again has the kernel's settings."""
        self._set_sysctls(self._section)
        if self._settings:
            self._ask_settings()

    @property
    def pending(self) -> bool:
        """There is something to settle."""
        return bool(self._lost or self._addresses or self._links)

    def link_up(self, interface: str) -> None:
        """The kernel forgot what went through this interface while it was down."""
        self._links.append(interface)

    def address_changed(self, message: AddressMessage) -> None:
        """An address came or went, and this process did not do it."""
        self._addresses.append(message)

    def settle(self) -> None:
        """All news of the turn are heard, and faults are known: what is missing now was taken."""
        links, self._links = self._links, []
        messages, self._addresses = self._addresses, []
        finders, self._lost = self._lost, []
        if any(each in name.split("/") for name in self._settings for each in links):
            self._ask_settings()  # one that was made again has the kernel's defaults
        for interface in links:
            self.statics.link_up(interface)
            for instance in self._instances.values():
                if instance.state is not VrrpState.MASTER or instance.held.empty:
                    continue
                refused = instance.held.refused
                instance.held.hold_of(instance.config, again=interface)
                if instance.held.refused != refused:
                    instance.publish()
        for message in messages:
            if message.gone:
                strangers.removed(self._instances.values(), message)
                self.statics.address_removed(message)
            else:
                strangers.added(self._instances.values(), message)
        for find in finders:
            self._settle(find)

    def install_failed(self, event: events.InstallFailed) -> None:
        """The kernel refused an address that is not an instance's."""
        if event.instance == STATICS and self.statics.refuse(event.address, event.error):
            text = f"static objects: the kernel refuses {family.text(event.address)}: {event.error}"
            self._turn.effects.append(Log("error", text))
            self._turn.telling.say_of(self, self._report)

    def stop(self, *, keep: bool) -> None:
        """The end."""
        if not keep:
            self.statics.drop()
            self._accepting.settle(VrrpSection())
        self._set_sysctls(VrrpSection())

    def _ask_settings(self) -> None:
        self._turn.effects.append(Sysctls(tuple(self._settings.items())))

    def _settle(self, find: Callable[[Holdings], Held | None]) -> None:
        held = find(self.statics.held)
        if held is not None:
            self.statics.lost(held)
        for instance in self._instances.values():
            held = find(instance.held)
            if held is not None:
                self._lost_of(instance, held)

    def _lost_of(self, instance: Instance, held: Held) -> None:
        if is_tracked(held):
            strangers.took(instance, held.name)
            return
        # keepalived does not hear of these; a route that is configured and not there helps nobody.
        instance.held.restore(held)
        self._turn.telling.say(publication.holding(instance, held.name, "restored", _WHY))
        strangers.count(instance, held.name, "removes")

    def _on_routes_read(self, event: events.RoutesRead) -> None:
        self.statics.compare(event)
        for instance in list(self._instances.values()):
            for held in instance.held.missing(event.routes, event.rules):
                self._lost_of(instance, held)
                if instance.state is not VrrpState.MASTER:
                    break

    def _on_refused(self, event: events.Refused) -> None:
        if event.holder == vmac.HOLDER:
            self._vmacs.refuse(event.name, event.error)
            self._complain("interfaces", event)
            return
        if event.holder == STATICS:
            if self.statics.held.refuse(event.name, event.error):
                self._complain("static objects", event)
                self._turn.telling.say_of(self, self._report)
            return
        instance = self._instances.get(event.holder)
        if instance is not None and instance.held.refuse(event.name, event.error):
            self._complain(instance.config.name, event)
            self._turn.telling.say(publication.holding(instance, event.name, "failed", event.error))
            instance.publish()

    def _complain(self, who: str, event: events.Refused) -> None:
        self._turn.effects.append(Log("error", f"{who}: the kernel refuses {event.name}: {event.error}"))


_LOCAL_REPORTS = "net/ipv4/igmp_link_local_mcast_reports"
_WHY = "another program removed it"
