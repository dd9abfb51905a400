"""Virtual MAC addresses and accept mode in the machine: what is asked of the kernel, and when."""

from __future__ import annotations

import struct
from typing import Any

from keepbus_vrrp import events, vmac
from keepbus_vrrp.effects import (
    Advertise,
    Announce,
    Ask,
    Deny,
    Endpoint,
    Install,
    ReadKernel,
    Remove,
    Sysctls,
)
from keepbus_vrrp.link_codec import MACVLAN, MODE_PRIVATE, Make
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, LinkMessage
from vrrp_router import ENDPOINT, INDEX, LOCAL, MAC, VIP, Router, address, advert, config

from keepbus.config.model.vrrp import (
    AddressFamily,
    InitialState,
    VirtualAddress,
    VirtualMac,
    VrrpInstance,
    VrrpSection,
)
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, StopRequested
from keepbus.testing.playbook import Playbook, Scene, ns

VMAC_INDEX = 7
VMAC = VirtualMac(name="vrrp.51", interface="eth0", mac="00:00:5e:00:01:33")
MARK = "keepbus n1"
ON_VMAC = Endpoint(VMAC_INDEX, AddressFamily.IPV4)
MADE = Make(MACVLAN, MODE_PRIVATE, INDEX, 0, 0, MARK)


def with_vmac(**fields: Any) -> VrrpInstance:
    addresses = (VirtualAddress(address=VIP, prefix=24, interface=VMAC.name),)
    return config(**{"vmac": VMAC, "virtual_addresses": addresses, **fields})


def card() -> LinkMessage:
    return LinkMessage(False, INDEX, "eth0", IFF_UP | IFF_RUNNING, MAC, 1500)


def virtual(*, up: bool = False, gone: bool = False, make: Make = MADE, name: str = VMAC.name) -> LinkMessage:
    flags = IFF_UP | IFF_RUNNING if up else 0
    return LinkMessage(gone, VMAC_INDEX, name, flags, vmac.octets(VMAC), 1500, False, make)


def read(*links: LinkMessage) -> events.KernelRead:
    return events.KernelRead((card(), *links), (address(LOCAL).address,))


class Node:
    """One machine named n1; second 0 is the start."""

    def __init__(self, instance: VrrpInstance, *links: LinkMessage) -> None:
        self.machine = Machine(node="n1")
        self.play = Playbook(self.machine)
        self.play.at(0, Configured(1, VrrpSection(instances=(instance,)), ns(0)))
        self.scene = self.play.at(0, events.Remembered("boot", ()), read(*links))

    @property
    def instance(self) -> Any:
        return next(iter(self.machine.instances.values()))

    def at(self, seconds: float, *happened: Any) -> Scene:
        scene = self.play.until(seconds - 1e-6)
        scene.extend(self.play.at(seconds, *happened))
        return scene

    def become_master(self) -> tuple[float, Scene]:
        seconds = (self.instance.timer.due_at_ns - ns(0)) / 1e9
        scene = self.at(seconds)
        assert self.instance.state is VrrpState.MASTER
        return seconds, scene


def asked(scene: Scene) -> list[str]:
    """What is asked about interfaces, in order: message type, name and flags of each."""
    words = []
    for effect in scene:
        if isinstance(effect, Ask):
            for request in effect.requests:
                kind = struct.unpack_from("=H", request.octets, 4)[0]
                words.append("delete" if kind == 17 else request.name)
    return words


def kinds(scene: Scene) -> list[type]:
    return [
        type(effect) for effect in scene if type(effect) in (Ask, Advertise, Install, Remove, Announce, Deny)
    ]


def test_the_interface_is_made_before_the_instance_begins() -> None:
    """G8: with nothing there, three requests and another look; with the interface there, the start."""
    node = Node(with_vmac())
    assert asked(node.scene) == ["vrrp.51", "vrrp.51"]
    assert [effect for effect in node.scene if isinstance(effect, ReadKernel)]
    assert not node.machine.instances
    node.at(0.001, read(virtual()))
    assert node.instance.state is VrrpState.BACKUP
    settings = [effect for effect in node.play.until(0.01) if isinstance(effect, Sysctls)]
    assert not settings


def test_settings_of_the_kernel() -> None:
    """Features 6.5 and K2: those of the interface, and those of the one below."""
    node = Node(with_vmac(), virtual())
    (settings,) = [dict(effect.wanted) for effect in node.scene if isinstance(effect, Sysctls)]
    assert settings == {
        "net/ipv4/conf/vrrp.51/arp_ignore": "1",
        "net/ipv4/conf/vrrp.51/accept_local": "1",
        "net/ipv4/conf/vrrp.51/rp_filter": "0",
        "net/ipv4/conf/vrrp.51/promote_secondaries": "1",
        "net/ipv4/conf/eth0/arp_ignore": "1",
        "net/ipv4/conf/eth0/arp_filter": "1",
        "net/ipv4/conf/eth0/arp_announce": "2",
        "net/ipv6/conf/vrrp.51/disable_ipv6": "1",
        "net/ipv4/conf/all/rp_filter": "0",
    }


def test_up_then_advert_and_down_after_the_addresses() -> None:
    """S4, K1, M14: the interface is up exactly while its router is master."""
    node = Node(with_vmac(), virtual())
    assert "vrrp.51 down" in asked(node.scene)  # an earlier process may have left it up
    seconds, scene = node.become_master()
    assert asked(scene) == ["vrrp.51 up"]
    assert kinds(scene) == [Ask, Advertise]
    (sent,) = [effect for effect in scene if isinstance(effect, Advertise)]
    assert sent.endpoint == ON_VMAC
    assert [each.interface_index for each in sent.addresses] == [VMAC_INDEX]
    heard = advert(200, at=seconds + 0.5)._replace(endpoint=ON_VMAC)
    scene = node.at(seconds + 0.5, heard)
    assert node.instance.state is VrrpState.BACKUP
    assert kinds(scene) == [Advertise, Remove, Ask]  # the advert: 0114
    assert asked(scene) == ["vrrp.51 down"]


def test_each_advert_is_heard_once() -> None:
    """A master hears on its virtual MAC, a backup on the interface below; what is heard on the other one is a
    copy."""
    node = Node(with_vmac(), virtual())
    node.at(0.5, advert(200, at=0.5)._replace(endpoint=ON_VMAC))
    assert node.instance.counters.adverts_received == 0
    node.at(1.0, advert(200, at=1.0))
    assert node.instance.counters.adverts_received == 1
    node.at(1.5, advert(200, at=1.5))
    assert node.instance.counters.adverts_received == 2
    seconds, _ = node.become_master()
    node.at(seconds + 0.5, advert(200, at=seconds + 0.5))
    assert node.instance.state is VrrpState.MASTER
    node.at(seconds + 0.6, advert(200, at=seconds + 0.6, vrid=52)._replace(endpoint=ON_VMAC))
    assert not node.instance.counters.dropped
    node.at(seconds + 0.7, advert(200, at=seconds + 0.7)._replace(endpoint=ON_VMAC))
    assert node.instance.state is VrrpState.BACKUP


def test_base_and_announcements() -> None:
    """`vmac_xmit_base`: adverts leave by the interface below; G1: announcements by the virtual MAC even so,
    G3: after the kernel has confirmed."""
    node = Node(with_vmac(vmac_xmit_base=True), virtual())
    seconds, scene = node.become_master()
    (sent,) = [effect for effect in scene if isinstance(effect, Advertise)]
    assert sent.endpoint == ENDPOINT
    assert not [effect for effect in scene if isinstance(effect, Announce)]
    octets = tuple(each.address for each in sent.addresses)
    scene = node.at(seconds + 0.001, events.Installed(node.instance.key, octets))
    (announced,) = [effect for effect in scene if isinstance(effect, Announce)]
    assert {interface for interface, _ in announced.frames} == {"vrrp.51"}
    assert {frame[6:12] for _, frame in announced.frames} == {vmac.octets(VMAC)}


def test_what_another_program_does_to_it() -> None:
    """Set down on a master or up on a backup: put right. Deleted: made again, and a new election."""
    node = Node(with_vmac(), virtual())
    assert asked(node.at(0.5, events.LinkChanged(virtual(up=True)))) == ["vrrp.51 down"]
    seconds, _ = node.become_master()
    scene = node.at(seconds + 0.1, events.LinkChanged(virtual()))
    assert asked(scene) == ["vrrp.51 up"]
    assert [effect.addresses[0].interface_index for effect in scene if isinstance(effect, Install)] == [
        VMAC_INDEX
    ]
    assert node.instance.state is VrrpState.MASTER
    scene = node.at(seconds + 0.2, events.LinkChanged(virtual(up=True, gone=True)))
    assert node.instance.state is VrrpState.FAULT
    assert asked(scene)[:2] == ["vrrp.51", "vrrp.51"]
    node.at(seconds + 0.3, read(virtual()))
    assert node.instance.state is VrrpState.BACKUP


def test_what_cannot_be_made_is_a_fault_in_words() -> None:
    node = Node(with_vmac())
    node.at(0.001, events.Refused(vmac.HOLDER, "vrrp.51", "Operation not supported"), read())
    assert node.instance.faults[0] == "interface vrrp.51 could not be made: Operation not supported"
    assert node.instance.state is VrrpState.FAULT
    node = Node(with_vmac(), virtual(make=Make("dummy")))
    assert "is there and no macvlan in private mode" in node.instance.faults[0]


def test_what_is_removed_and_what_is_not() -> None:
    """Our mark: left-overs go at the start, ours at the end; what another program made stays."""
    left_over = virtual(name="vrrp.9")
    router = Node(config(), left_over)
    assert asked(router.scene) == ["delete"]
    ours = Node(with_vmac(), virtual())
    assert "delete" in asked(ours.at(1, StopRequested(ns(1))))
    theirs = Node(with_vmac(), virtual(make=MADE._replace(alias="")))
    assert theirs.instance.state is VrrpState.BACKUP
    assert "delete" not in asked(theirs.at(1, StopRequested(ns(1))))
    neighbour = Node(config(), virtual(make=MADE._replace(alias="keepbus n2")))
    assert "delete" not in asked(neighbour.scene)


def test_accept_mode_off_is_there_before_the_address() -> None:
    """K7: before an owner's first address, and wider before a reload changes addresses than after it."""
    owner: dict[str, Any] = {"accept": False, "priority": 255, "state": InitialState.MASTER}
    router = Router(config(**owner))
    order = kinds(router.scene)
    assert order.index(Deny) < order.index(Advertise)
    other = (VirtualAddress(address="192.0.2.2", prefix=24, interface="eth0"),)
    scene = router.reload(5, config(**owner, virtual_addresses=other))
    denied = [effect for effect in scene if isinstance(effect, Deny)]
    assert [len(effect.addresses) for effect in denied] == [2, 1]
    order = kinds(scene)
    assert order.index(Deny) < order.index(Remove) < len(order) - 1 - order[::-1].index(Deny)
    scene = router.stop(6)
    order = kinds(scene)
    assert order.index(Remove) < order.index(Deny)
    assert [effect.addresses for effect in scene if isinstance(effect, Deny)] == [()]
