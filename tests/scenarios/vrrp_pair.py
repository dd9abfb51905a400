"""One pure machine with two virtual routers in a sync group, on two interfaces."""

from __future__ import annotations

from typing import Any

from keepbus_vrrp import events
from keepbus_vrrp.effects import Remember
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.record import dump
from vrrp_router import HIGHER, LOCAL, advert, config, link
from vrrp_router import address as address_of

from keepbus.config.model.vrrp import SyncGroup, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import GroupTransitioned, Transitioned, VrrpState
from keepbus.runtime.machine import Configured, Publish
from keepbus.testing.playbook import Playbook, Scene, ns

MASTER, BACKUP, FAULT = VrrpState.MASTER, VrrpState.BACKUP, VrrpState.FAULT
INIT = VrrpState.INIT
OTHER_VIP = "198.51.100.1"
GROUP = SyncGroup(name="VG_1", members=("VI_1", "VI_2"))
DOWN_S = 3.609375
"""Master down interval of priority 100, version 2: 3 s + 156/256 s."""


def first(**fields: Any) -> VrrpInstance:
    return config(**fields)


def second(**fields: Any) -> VrrpInstance:
    address = VirtualAddress(address=OTHER_VIP, prefix=24, interface="eth1")
    return config(
        **{
            "name": "VI_2",
            "interface": "eth1",
            "virtual_router_id": 52,
            "virtual_addresses": (address,),
            **fields,
        }
    )


def eth1(*, up: bool = True) -> events.LinkChanged:
    return link(up=up, index=3, name="eth1")


def heard(priority: int, source: str = HIGHER, *, at: float) -> events.Received:
    """An advert for VI_2."""
    received = advert(priority, source, at=at, vrid=52, addresses=(OTHER_VIP,))
    return received._replace(endpoint=received.endpoint._replace(interface_index=3))


class Pair:
    """One node with two instances in a group."""

    def __init__(
        self,
        *configs: VrrpInstance,
        groups: tuple[SyncGroup, ...] = (GROUP,),
        second_up: bool = True,
        memories: tuple[events.Memory, ...] = (),
        held: tuple[str, ...] = (),
    ) -> None:
        self.machine = Machine()
        self.play = Playbook(self.machine)
        self.configs = configs or (first(), second())
        section = VrrpSection(instances=self.configs, sync_groups=groups)
        self.play.at(0, Configured(1, section, ns(0)))
        links = (link().link, eth1(up=second_up).link)
        addresses = [address_of(LOCAL), address_of("198.51.100.253", index=3)]
        addresses += [address_of(text, index=2 if text.startswith("192") else 3) for text in held]
        read = events.KernelRead(links, tuple(each.address for each in addresses))
        self.scene = self.play.at(0, events.Remembered("boot", memories), read)

        self.records: dict[str, str] = {}
        """As remembered last."""
        self._keep(self.scene)

    def at(self, seconds: float, *happened: Any) -> Scene:
        scene = self.play.until(seconds - 1e-6)
        scene.extend(self.play.at(seconds, *happened))
        self._keep(scene)
        return scene

    def _keep(self, scene: Scene) -> None:
        for effect in scene:
            if isinstance(effect, Remember):
                self.records[effect.instance] = dump(effect.record)

    def reload(
        self, seconds: float, *configs: VrrpInstance, groups: tuple[SyncGroup, ...] = (GROUP,)
    ) -> Scene:
        section = VrrpSection(instances=configs or self.configs, sync_groups=groups)
        return self.at(seconds, Configured(2, section, ns(seconds)))

    def instance(self, name: str) -> Instance:
        return next(each for each in self.machine.instances.values() if each.config.name == name)

    @property
    def states(self) -> list[VrrpState]:
        return [each.state for each in self.machine.instances.values()]

    def become_master(self) -> float:
        """Let both timers run out; the moment after it."""
        seconds = DOWN_S + 0.001
        self.at(seconds)
        assert self.states == [MASTER, MASTER]
        return seconds


def told(scene: Scene) -> list[str]:
    """Transitions of instances and groups, in the order of the bus."""
    lines = []
    for effect in scene:
        body = effect.body if isinstance(effect, Publish) else None
        if isinstance(body, Transitioned):
            lines.append(f"{body.instance} {body.transition.to_state}")
        elif isinstance(body, GroupTransitioned):
            lines.append(f"{body.group} {body.transition.to_state}")
    return lines


def causes(scene: Scene) -> dict[str, str]:
    """The cause of the last transition of each."""
    found = {}
    for effect in scene:
        body = effect.body if isinstance(effect, Publish) else None
        if isinstance(body, Transitioned):
            found[body.instance] = body.transition.cause
        elif isinstance(body, GroupTransitioned):
            found[body.group] = body.transition.cause
    return found
