"""Interfaces of instances in the machine: ipvlans, VRFs, delays, and announcements on other interfaces."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from keepbus_vrrp import events, family
from keepbus_vrrp.effects import Advertise, Announce, Ask, Endpoint, Install, ReadKernel, Sysctls, Unlisten
from keepbus_vrrp.link_codec import IPVLAN, VRF, Make
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage
from vrrp_held import asked
from vrrp_router import INDEX, LOCAL, MAC, VIP, Router, address, config, link

from keepbus.config.model.routes import Route
from keepbus.config.model.vrrp import (
    AddressFamily,
    GratuitousArp,
    InterfaceDelay,
    Ipvlan,
    IpvlanFlag,
    VirtualAddress,
    VirtualMac,
    VrrpSection,
)
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, StopRequested
from keepbus.testing.playbook import Playbook, Scene, ns

UP = IFF_UP | IFF_RUNNING
IV_INDEX = 7
OWN = VirtualAddress(address="192.0.2.7", prefix=24, interface="vrrp.51")
IV = Ipvlan(name="vrrp.51", interface="eth0", address=OWN, flag=IpvlanFlag.VEPA)
WITH_IPVLAN = config(
    interface="vrrp.51",
    ipvlan=IV,
    mcast_src_ip=OWN.address,
    virtual_addresses=(VirtualAddress(address=VIP, prefix=24, interface="vrrp.51"),),
)
CARD = LinkMessage(False, INDEX, "eth0", UP, MAC, 1500)


def ipvlan(flags: int = UP, *, kind: str = IPVLAN, mode: int = 2, mark: str = "keepbus n1") -> LinkMessage:
    make = Make(kind, 0, INDEX, 0, 0, mark, 0, mode)
    return LinkMessage(False, IV_INDEX, "vrrp.51", flags, MAC, 1500, False, make)


def read(*links: LinkMessage) -> events.KernelRead:
    return events.KernelRead((CARD, *links), (address(LOCAL).address,))


class Node:
    """One machine named n1; second 0 is the start."""

    def __init__(self, *links: LinkMessage) -> None:
        self.machine = Machine(node="n1")
        self.play = Playbook(self.machine)
        self.play.at(0, Configured(1, VrrpSection(instances=(WITH_IPVLAN,)), ns(0)))
        self.scene = self.play.at(0, events.Remembered("boot", ()), read(*links))

    @property
    def state(self) -> VrrpState:
        return next(iter(self.machine.instances.values())).state


def kinds(scene: Scene) -> list[int]:
    """Message types of what is asked about interfaces: 16 make or change, 17 delete."""
    requests = (each for effect in scene if isinstance(effect, Ask) for each in effect.requests)
    return [struct.unpack_from("=H", each.octets, 4)[0] for each in requests]


def test_an_ipvlan_is_made_before_the_instance_and_stays_up() -> None:
    """Features 6.5; the octets are those of `ip link add link eth0 vrrp.51 type ipvlan mode l2 vepa`."""
    node = Node()
    (made,) = [effect for effect in node.scene if isinstance(effect, Ask)]
    create, adorn = [each.octets for each in made.requests]
    info = struct.pack("=HH", 10, 1) + b"ipvlan\0\0"  # IFLA_INFO_KIND
    info += struct.pack("=HH", 20, 2)  # IFLA_INFO_DATA
    info += struct.pack("=HHHxx", 6, 1, 0) + struct.pack("=HHHxx", 6, 2, 2)  # L2, VEPA
    body = b"".join(
        (
            bytes(16),
            struct.pack("=HH", 12, 3) + b"vrrp.51\0",  # IFLA_IFNAME
            struct.pack("=HHI", 8, 5, INDEX),  # IFLA_LINK
            struct.pack("=HHI", 8, 27, 0),  # IFLA_GROUP
            struct.pack("=HH", 4 + len(info), 18) + info,  # IFLA_LINKINFO
        )
    )
    assert create[16:] == body
    assert struct.unpack_from("=HH", create, 4) == (16, 0x1 | 0x400 | 0x200)  # REQUEST, CREATE, EXCL
    assert struct.unpack_from("=II", adorn, 24) == (IFF_UP, IFF_UP)
    assert [effect for effect in node.scene if isinstance(effect, ReadKernel)]
    scene = node.play.at(0.001, read(ipvlan()))
    assert node.state is VrrpState.BACKUP
    (own,) = [effect for effect in scene if isinstance(effect, Install)]
    assert [(each.interface_index, each.prefix) for each in own.addresses] == [(IV_INDEX, 24)]
    (settings,) = [dict(effect.wanted) for effect in scene if isinstance(effect, Sysctls)]
    assert settings["net/ipv4/conf/vrrp.51/rp_filter"] == "0"
    adverts = [effect for effect in node.play.until(5) if isinstance(effect, Advertise)]
    assert node.state is VrrpState.MASTER
    assert adverts[0].endpoint == Endpoint(IV_INDEX, AddressFamily.IPV4)
    assert adverts[0].copies[0][1][12:16] == bytes((192, 0, 2, 7))
    assert kinds(node.play.at(6, StopRequested(ns(6)))) == [17]


def test_an_ipvlan_that_is_set_down_is_put_up() -> None:
    node = Node(ipvlan())
    assert kinds(node.play.at(0.001, events.LinkChanged(ipvlan(0)))) == [16]


def faults(node: Node) -> tuple[str, ...]:
    return next(iter(node.machine.instances.values())).faults


def test_an_ipvlan_that_cannot_be_is_a_fault_of_one_sentence() -> None:
    node = Node()
    node.play.at(0.001, events.Refused("interfaces", "vrrp.51", "Operation not supported"), read())
    assert node.state is VrrpState.FAULT
    assert faults(node) == (
        "interface vrrp.51 could not be made: this kernel has no ipvlan; load its module, or write "
        "`use_vmac` instead of `use_ipvlan`",
    )
    other = Node(ipvlan(kind="dummy", mark=""))
    assert faults(other) == (
        "interface vrrp.51 is there and no ipvlan in mode l2; delete it, or give `use_ipvlan` another name",
    )
    assert faults(Node(ipvlan(mode=0, mark="")))[0].startswith("interface vrrp.51 is not of mode vepa")


def vrf(table: int) -> events.LinkChanged:
    make = Make(VRF, table=table)
    return events.LinkChanged(LinkMessage(False, 9, "red", UP, bytes(6), 65575, False, make))


IN_VRF = Route(destination="10.1.0.0/16", gateway="192.0.2.9", interface="eth0", vrf="red")


def test_a_route_of_a_vrf_has_the_table_of_now() -> None:
    router = Router(virtual_routes=(IN_VRF,))
    assert router.state is VrrpState.FAULT
    router.at(1, vrf(1007))
    router.at(8)
    assert router.state is VrrpState.MASTER
    (route,) = router.instance.held._held.values()
    assert (route.name, getattr(route, "table", 0)) == (IN_VRF.name, 1007)
    gone = events.LinkChanged(LinkMessage(True, 9, "red", 0, bytes(6), 0))
    assert asked(router.at(9, gone)) == [f"-{IN_VRF.name}"]
    assert router.instance.faults == ("interface red does not exist",)


def test_a_route_of_what_is_no_vrf_is_told() -> None:
    router = Router(virtual_routes=(Route(destination="10.1.0.0/16", vrf="eth0"),))
    router.become_master()
    assert router.instance.held.refused == {"10.1.0.0/16 vrf eth0": "there is no VRF eth0"}


DELAYED = {"interface_delays": (InterfaceDelay(interface="eth0", down_us=500_000, up_us=300_000),)}


def test_what_is_over_within_the_delay_is_not_seen() -> None:
    router = Router(section=DELAYED)
    start = router.become_master()
    router.at(start + 1, link(up=False))
    router.at(start + 1.4, link())
    router.at(start + 5)
    assert router.state is VrrpState.MASTER
    assert router.instance.counters.became_master == 1


def test_what_lasts_is_seen_after_the_delay() -> None:
    router = Router(section=DELAYED)
    start = router.become_master()
    router.at(start + 1, link(up=False))
    router.at(start + 1.499)
    assert router.state is VrrpState.MASTER
    router.at(start + 1.501)
    assert router.state is VrrpState.FAULT
    router.at(start + 2, link())
    router.at(start + 2.299)
    assert router.state is VrrpState.FAULT
    router.at(start + 2.301)
    assert router.state is VrrpState.BACKUP
    # Gone is gone.
    router.at(start + 3, link(gone=True))
    assert router.state is VrrpState.FAULT


def test_what_was_never_up_is_not_waited_for() -> None:
    router = Router(section=DELAYED, up=False)
    assert router.state is VrrpState.FAULT
    router.at(1, link())
    assert router.state is VrrpState.BACKUP


def test_a_reload_without_the_delay_ends_the_wait() -> None:
    router = Router(section=DELAYED)
    start = router.become_master()
    router.at(start + 1, link(up=False))
    router.reload(start + 1.1, config())
    assert router.state is VrrpState.FAULT


def extra(**garp: int) -> Router:
    """An address on eth1 with a virtual MAC, one without on eth2, and eth0's."""
    made = VirtualMac(name="va.51", interface="eth1", mac="00:00:5e:00:01:33")
    addresses = tuple(
        VirtualAddress(address=each, prefix=24, interface=name)
        for each, name in ((VIP, "eth0"), ("10.1.0.1", "va.51"), ("10.1.0.2", "va.51"), ("10.2.0.1", "eth2"))
    )
    instance = config(
        virtual_addresses=addresses,
        address_vmacs=(made,),
        garp=GratuitousArp(master_delay_us=0, master_repeat=1, **garp),
    )
    machine = Machine(node="n1")
    router = Router.__new__(Router)
    router.machine, router.play = machine, Playbook(machine)
    macvlan = Make("macvlan", 1, 3, 0, 0, "keepbus n1")
    links = (
        CARD,
        LinkMessage(False, 3, "eth1", UP, MAC, 1500),
        LinkMessage(False, 4, "eth2", UP, MAC, 1500),
        LinkMessage(False, 5, "va.51", 0, bytes.fromhex("00005e000133"), 1500, False, macvlan),
    )
    router.play.at(0, Configured(1, VrrpSection(instances=(instance,)), ns(0)))
    locals_ = tuple(AddressMessage(False, index, bytes((10, index, 0, 9)), 24) for index in (2, 3, 4))
    router.scene = router.play.at(0, events.Remembered("boot", ()), events.KernelRead(links, locals_))
    return router


def announced(scene: Scene) -> list[tuple[str, str]]:
    frames = (frame for effect in scene if isinstance(effect, Announce) for frame in effect.frames)
    return [(name, ".".join(map(str, octets[28:32]))) for name, octets in frames]


def test_other_interfaces_are_announced_again_and_again() -> None:
    """`garp_extra_if` (features 6.2): the first address of each interface where adverts do not leave, as
    keepalived 2.2.7 was seen to do with the same addresses."""
    router = extra(extra_us=10_000_000)
    start = router.become_master()
    assert announced(router.at(start + 35)) == [("va.51", "10.1.0.1")] * 3
    router = extra(extra_us=10_000_000, extra_all=True)
    start = router.become_master()
    assert sorted(announced(router.at(start + 15))) == [("eth2", "10.2.0.1"), ("va.51", "10.1.0.1")]
    router.at(start + 16, link(up=False))
    assert announced(router.at(start + 60)) == []


def test_a_reload_changes_the_interval_of_a_master() -> None:
    router = extra(extra_us=10_000_000)
    start = router.become_master()
    instance = router.instance.config
    changed = GratuitousArp(master_delay_us=0, master_repeat=1, master_refresh_us=4_000_000)
    router.reload(start + 1, dataclasses.replace(instance, garp=changed))
    assert announced(router.at(start + 4.9)) == []
    assert len(announced(router.at(start + 13.1))) == 3 * 4


@pytest.mark.parametrize(
    ("spoken", "own", "virtual"),
    [(AddressFamily.IPV4, LOCAL, VIP), (AddressFamily.IPV6, "fe80::5", "fe80::53")],
)
def test_r_f55_sockets_are_made_anew_where_the_kernel_had_no_address_of_the_family(
    spoken: AddressFamily, own: str, virtual: str
) -> None:
    """An MTU below 1280 takes IPv6 from an interface, and with it every membership in a group: the socket
    stays, and would never hear another router again."""

    def told(*, gone: bool) -> events.AddressChanged:
        return events.AddressChanged(AddressMessage(gone, INDEX, family.pack(own), 24))

    only = VirtualAddress(address=virtual, prefix=24, interface="eth0")
    router = Router(config(family=spoken, version=3, virtual_addresses=(only,)), addresses=())
    router.at(0.1, told(gone=False))
    assert router.state is VrrpState.BACKUP
    assert router.at(0.2, told(gone=False)).of(Unlisten) == []
    lost = router.at(1, told(gone=True))
    assert router.state is VrrpState.FAULT
    assert lost.of(Unlisten) == []
    found = router.at(2, told(gone=False))
    assert router.state is VrrpState.BACKUP
    names = [name for name in found.names() if name in ("Unlisten", "Listen")]
    assert names == ["Unlisten", "Listen"], "in the group again"
    assert router.at(3, told(gone=False)).of(Unlisten) == []
