"""The IPVS vectors: what the codec makes of our commands, octet for octet, and what others make of it.

Conformance V1 to V10, V12 and V14 are in them; tests/uml sends each to a kernel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from keepbus_ipvs import codec
from keepbus_ipvs.diff import Command, Verb
from keepbus_ipvs.table import (
    AF_INET,
    AF_INET6,
    DIRECT,
    MASQUERADE,
    PERSISTENT,
    TCP,
    TUNNEL,
    UDP,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
)
from pyroute2.netlink.generic.ipvs import ipvsmsg

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((Path(__file__).parent / "ipvs-vectors.json").read_text(encoding="utf-8"))
}
ONE_PACKET = 4


def service(port: int = 80, protocol: int = TCP, scheduler: str = "rr", **settings: Any) -> Service:
    return Service(ServiceKey(AF_INET, protocol, "192.0.2.1", port), scheduler, **settings)


def destination(
    address: str = "198.51.100.1", port: int = 80, forwarding: int = DIRECT, **settings: Any
) -> Destination:
    return Destination(DestinationKey(address, port), forwarding, **settings)


IPV6 = Service(ServiceKey(AF_INET6, TCP, "2001:db8::1", 80), "rr", netmask="128")
COMMANDS = {
    "ipvs-new-service-tcp-rr": Command(Verb.ADD_SERVICE, service()),
    "ipvs-new-service-duplicate": Command(Verb.ADD_SERVICE, service()),
    "ipvs-new-service-unknown-scheduler": Command(Verb.ADD_SERVICE, service(81, scheduler="nosuch")),
    "ipvs-new-service-udp-ops": Command(Verb.ADD_SERVICE, service(87, UDP, flags=ONE_PACKET)),
    "ipvs-new-service-persistent-24": Command(
        Verb.ADD_SERVICE, service(443, flags=PERSISTENT, timeout_s=300, netmask="255.255.255.0")
    ),
    "ipvs-new-service-fwmark-7": Command(
        Verb.ADD_SERVICE, Service(ServiceKey(AF_INET, 0, "", 0, fwmark=7), "rr")
    ),
    "ipvs-new-service-ipv6-128": Command(Verb.ADD_SERVICE, IPV6),
    "ipvs-new-service-ipv6-netmask-0": Command(Verb.ADD_SERVICE, IPV6._replace(netmask="0")),
    "ipvs-set-service-missing": Command(Verb.EDIT_SERVICE, service(4000)),
    "ipvs-del-service": Command(Verb.REMOVE_SERVICE, service()),
    "ipvs-del-service-missing": Command(Verb.REMOVE_SERVICE, service(4000)),
    "ipvs-new-dest-dr": Command(Verb.ADD_DESTINATION, service(), destination()),
    "ipvs-new-dest-nat-8080": Command(
        Verb.ADD_DESTINATION, service(), destination("198.51.100.2", 8080, MASQUERADE)
    ),
    "ipvs-new-dest-ipv6-in-ipv4-service-tunnel": Command(
        Verb.ADD_DESTINATION, service(), destination("2001:db8::50", forwarding=TUNNEL)
    ),
    "ipvs-new-dest-ipv6-in-ipv4-service-dr": Command(
        Verb.ADD_DESTINATION, service(), destination("2001:db8::50")
    ),
    "ipvs-new-dest-missing-service": Command(Verb.ADD_DESTINATION, service(4000), destination()),
    "ipvs-set-dest-weight-0": Command(Verb.EDIT_DESTINATION, service(), destination(weight=0)),
    "ipvs-set-dest-weight-negative": Command(Verb.EDIT_DESTINATION, service(), destination(weight=-1)),
    "ipvs-set-dest-lower-above-upper": Command(
        Verb.EDIT_DESTINATION, service(), destination(upper=5, lower=6)
    ),
    "ipvs-set-dest-missing": Command(Verb.EDIT_DESTINATION, service(), destination("198.51.100.77")),
    "ipvs-del-dest-missing": Command(Verb.REMOVE_DESTINATION, service(), destination("198.51.100.77")),
}
REQUESTS = {"ipvs-get-info": codec.GET_INFO, "ipvs-flush": codec.FLUSH}
NOT_WRITTEN = {
    "ipvs-new-service-without-netmask",
    "ipvs-set-service-mask-persistent-only",
    "ipvs-new-dest-tunnel-gre",
    "ipvs-new-dest-tunnel-gue-no-port",
    "ipvs-set-config-900-120-300",
}
"""What no configuration leads to yet; the kernel's answer to them is tested in tests/uml."""


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_encoded_as_the_vector(name: str) -> None:
    assert codec.encode(COMMANDS[name]).hex() == VECTORS[name]["hex"]


@pytest.mark.parametrize("name", REQUESTS)
def test_request_is_encoded_as_the_vector(name: str) -> None:
    assert codec.request(REQUESTS[name]).hex() == VECTORS[name]["hex"]


def test_every_vector_is_used() -> None:
    assert COMMANDS.keys() | REQUESTS.keys() | NOT_WRITTEN == VECTORS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_pyroute2_reads_the_same_from_it(name: str) -> None:
    command = COMMANDS[name]
    octets = codec.encode(command)
    header = (16 + len(octets)).to_bytes(4, "little") + bytes(12)
    message = ipvsmsg(header + octets)
    message.decode()
    assert message["cmd"] == command.verb
    read = message.get_attr("IPVS_CMD_ATTR_SERVICE")
    key = command.service.key
    assert read.get_attr("IPVS_SVC_ATTR_AF") == key.family
    if not key.fwmark:
        assert read.get_attr("IPVS_SVC_ATTR_PORT") == key.port
        assert read.get_attr("IPVS_SVC_ATTR_PROTOCOL") == key.protocol
    if command.verb in (Verb.ADD_SERVICE, Verb.EDIT_SERVICE):
        assert read.get_attr("IPVS_SVC_ATTR_SCHED_NAME") == command.service.scheduler
        assert read.get_attr("IPVS_SVC_ATTR_TIMEOUT") == command.service.timeout_s
    if command.destination is not None:
        server = message.get_attr("IPVS_CMD_ATTR_DEST")
        assert server.get_attr("IPVS_DEST_ATTR_PORT") == command.destination.key.port
        assert server.get_attr("IPVS_DEST_ATTR_FWD_METHOD") == command.destination.forwarding
        assert server.get_attr("IPVS_DEST_ATTR_WEIGHT") == command.destination.weight & 0xFFFFFFFF


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if command.verb is Verb.ADD_SERVICE]
)
def test_service_is_read_back_as_it_was_written(name: str) -> None:
    assert codec.decode_service(bytes.fromhex(VECTORS[name]["hex"])) == COMMANDS[name].service


def test_the_kernels_own_flag_is_not_read() -> None:
    octets = codec.encode(Command(Verb.ADD_SERVICE, service(flags=2 | ONE_PACKET)))
    assert codec.decode_service(octets).flags == ONE_PACKET


@pytest.mark.parametrize("cut", [4, 5, 8, 30, 60])
def test_cut_message_is_refused_and_nothing_else_happens(cut: int) -> None:
    octets = bytes.fromhex(VECTORS["ipvs-new-service-tcp-rr"]["hex"])[:cut]
    with pytest.raises(codec.MalformedError):
        codec.decode_service(octets)
