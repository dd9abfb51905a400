"""One pure machine with one interface, and the adverts of its neighbours."""

from __future__ import annotations

from typing import Any

from keepbus_vrrp import events, ipv4, packet, publication, record
from keepbus_vrrp.effects import Advertise, Announce, Endpoint, Install, Remove
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage

from keepbus.config.model.vrrp import AddressFamily, VirtualAddress, VrrpInstance, VrrpSection
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, StopRequested
from keepbus.testing.playbook import Playbook, Scene, ns

INDEX = 2
ENDPOINT = Endpoint(INDEX, AddressFamily.IPV4)
LOCAL = "192.0.2.253"
LOWER, HIGHER = "192.0.2.100", "192.0.2.254"
VIP = "192.0.2.1"
GROUP = "224.0.0.18"
MAC = bytes.fromhex("020000000253")


def config(**fields: Any) -> VrrpInstance:
    """An instance; addresses default to one."""
    defaults: dict[str, Any] = {
        "name": "VI_1",
        "interface": "eth0",
        "virtual_router_id": 51,
        "virtual_addresses": (VirtualAddress(address=VIP, prefix=24, interface="eth0"),),
    }
    return VrrpInstance(**(defaults | fields))


def link(
    *, up: bool = True, gone: bool = False, index: int = INDEX, name: str = "eth0"
) -> events.LinkChanged:
    """eth0 as the kernel tells it."""
    flags = IFF_UP | IFF_RUNNING if up else IFF_UP
    return events.LinkChanged(LinkMessage(gone, index, name, flags, MAC, 1500))


def address(text: str, *, gone: bool = False, index: int = INDEX) -> events.AddressChanged:
    """An address that came or went."""
    return events.AddressChanged(AddressMessage(gone, index, ipv4.pack(text), 24))


def kernel(*addresses: str, up: bool = True) -> events.KernelRead:
    """A dump with eth0 and these addresses."""
    return events.KernelRead((link(up=up).link,), tuple(address(text).address for text in addresses))


def advert(
    priority: int,
    source: str = HIGHER,
    *,
    version: int = 2,
    interval_us: int = 1_000_000,
    at: float,
    addresses: tuple[str, ...] = (VIP,),
    vrid: int = 51,
    ttl: int = 255,
    message_sum: bool = False,
) -> events.Received:
    """A neighbour's advert, received `at` seconds."""
    message = packet.encode(
        version=version,
        virtual_router_id=vrid,
        priority=priority,
        interval_us=interval_us,
        addresses=tuple(map(ipv4.pack, addresses)),
        source=ipv4.pack(source),
        destination=ipv4.pack(GROUP),
        message_sum=message_sum,
    )
    datagram = ipv4.datagram(ipv4.pack(source), ipv4.pack(GROUP), ttl, message)
    return events.Received(ENDPOINT, ((datagram, ns(at)),))


class Router:
    """A machine that has started; second 0 is the start."""

    def __init__(
        self,
        *configs: VrrpInstance,
        addresses: tuple[str, ...] = (LOCAL,),
        up: bool = True,
        lease: bool = True,
        memories: tuple[events.Memory, ...] = (),
        section: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        self.machine = Machine()
        self.play = Playbook(self.machine)
        section = VrrpSection(
            instances=configs or (config(**fields),), address_lease=lease, **(section or {})
        )
        self.play.at(0, Configured(1, section, ns(0)))
        self.scene = self.play.at(0, events.Remembered("boot", memories), kernel(*addresses, up=up))

    @property
    def instance(self) -> Instance:
        """The first one."""
        return next(iter(self.machine.instances.values()))

    @property
    def state(self) -> VrrpState:
        """Of the first instance."""
        return self.instance.state

    def at(self, seconds: float, *happened: Any) -> Scene:
        """Time passes up to this moment, then these events; the effects of both."""
        scene = self.play.until(seconds - 1e-6)
        scene.extend(self.play.at(seconds, *happened))
        return scene

    def become_master(self) -> float:
        """Let the first timer run out and the addresses be confirmed; the moment."""
        wake_at_ns = self.instance.timer.due_at_ns
        seconds = (wake_at_ns - ns(0)) / 1e9
        self.scene = self.at(seconds)
        assert self.state is VrrpState.MASTER
        self.confirmed_scene = self.at(seconds, self.confirmed())
        return seconds

    def confirmed(self) -> events.Installed:
        """The kernel has the addresses."""
        addresses = self.instance.installable(self.instance.all_addresses)
        return events.Installed(self.instance.key, tuple(each.address for each in addresses))

    def reload(self, seconds: float, *configs: VrrpInstance, lease: bool = True) -> Scene:
        """Another configuration."""
        return self.reload_section(seconds, VrrpSection(instances=configs, address_lease=lease))

    def reload_section(self, seconds: float, section: VrrpSection) -> Scene:
        """All of another configuration."""
        return self.at(seconds, Configured(2, section, ns(seconds)))

    def stop(self, seconds: float) -> Scene:
        """SIGTERM."""
        return self.at(seconds, StopRequested(ns(seconds)))


def priorities(scene: Scene) -> list[int]:
    """Of the adverts in a scene, in order."""
    return [effect.copies[0][1][22] for effect in scene if isinstance(effect, Advertise)]


def on_wire(scene: Scene) -> list[str]:
    """What a scene does to the world, in order."""
    words = {Advertise: "advert", Install: "install", Remove: "remove", Announce: "announce"}
    return [words[type(effect)] for effect in scene if type(effect) in words]


def announced(scene: Scene) -> int:
    """Number of frames."""
    return sum(len(effect.frames) for effect in scene if isinstance(effect, Announce))


def memory_of(router: Router, *, sent: float, lease_end: float) -> events.Memory:
    """What the router would leave; moments count from the start of the next process."""
    text = record.dump(publication.record_of(router.instance))
    return text, ns(sent), ns(lease_end), router.instance.counters.kept()
