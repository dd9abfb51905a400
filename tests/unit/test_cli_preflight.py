"""What `keepbus up` says of interfaces that are not there."""

from __future__ import annotations

from keepbus.cli.preflight import absent, interfaces
from keepbus.config.model.configuration import Configuration
from keepbus.config.model.vrrp import Ipvlan, VirtualAddress, VrrpInstance, VrrpSection


def on(interface: str, device: str) -> Configuration:
    address = VirtualAddress(address="192.0.2.1", prefix=32, interface=device)
    instance = VrrpInstance(
        name="VI_1", interface=interface, virtual_router_id=1, virtual_addresses=(address,)
    )
    return Configuration(vrrp=VrrpSection(instances=(instance,)))


def test_present_interfaces_need_no_word() -> None:
    assert absent(on("eth0", "eth1"), frozenset({"eth0", "eth1"})) == []


def test_a_mistyped_interface_gets_a_suggestion() -> None:
    (sentence,) = absent(on("eno1677736", "eno1677736"), frozenset({"eno16777736", "docker0"}))
    assert sentence == ("there is no interface eno1677736 here, which VI_1 needs; did you mean eno16777736?")


def test_an_interface_unlike_any_other_may_still_come() -> None:
    (sentence,) = absent(on("eth0", "bond7"), frozenset({"eth0"}))
    assert sentence.endswith("there are eth0; it waits in FAULT until bond7 comes")


def test_the_host_is_read() -> None:
    assert "lo" not in interfaces()


def test_an_interface_that_keepbus_makes_is_not_missed() -> None:
    own = Ipvlan(name="vrrp.51", interface="eth0")
    instance = VrrpInstance(name="VI_1", interface="vrrp.51", ipvlan=own, virtual_router_id=51)
    configuration = Configuration(vrrp=VrrpSection(instances=(instance,)))
    assert absent(configuration, frozenset({"eth0"})) == []
    (sentence,) = absent(configuration, frozenset({"eth1"}))
    assert sentence.startswith("there is no interface eth0 here, which VI_1 needs")
