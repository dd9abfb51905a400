"""Conformance A7: passwords and keys stand in the file, its compiled section and adverts, nowhere else."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from keepbus_vrrp import events, ipv4, packet
from keepbus_vrrp.effects import Advertise, Endpoint
from keepbus_vrrp.events import InstallFailed, Received, TransmitFailed
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.netlink import IFF_RUNNING, IFF_UP, AddressMessage, LinkMessage

from keepbus.config.difference import NOT_SHOWN
from keepbus.config.model.configuration import Configuration
from keepbus.config.model.vrrp import (
    AddressFamily,
    Authentication,
    AuthHmac,
    AuthType,
    HmacKey,
    VirtualAddress,
    VrrpInstance,
    VrrpSection,
)
from keepbus.config.plan import compare
from keepbus.contracts.schema import to_plain
from keepbus.runtime import generation
from keepbus.runtime.machine import Configured, Publish, StopRequested
from keepbus.runtime.recorder import Recorder

PASSWORD = "hunter2!"
KEY = b"keepthissecretkeepthissecretkeep"
SECRETS = (PASSWORD, KEY.decode(), KEY.hex())
S = 1_000_000_000


def instance(**fields: Any) -> VrrpInstance:
    return VrrpInstance(
        name="VI_1",
        interface="eth0",
        virtual_router_id=51,
        virtual_addresses=(VirtualAddress(address="192.0.2.1", prefix=24, interface="eth0"),),
        **fields,
    )


PASS = instance(authentication=Authentication(auth_type=AuthType.PASS, auth_pass=PASSWORD))
AH = instance(authentication=Authentication(auth_type=AuthType.AH, auth_pass=PASSWORD))
HMAC = instance(auth_hmac=AuthHmac(keys=(HmacKey(key_id=1, octets=KEY.hex()),), active_key=1))


def without_secrets(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("config", [PASS, AH, HMAC], ids=["PASS", "AH", "auth_hmac"])
def test_a7_nothing_that_vrrp_says_or_remembers_holds_a_secret(config: VrrpInstance) -> None:
    """Through a life with refused packets, failures, a takeover and the end."""
    machine = Machine()
    source = ipv4.pack("192.0.2.254")
    foreign = packet.encode(
        version=2, virtual_router_id=51, priority=200, interval_us=1_000_000, auth_type=1,
        auth_data=PASSWORD.encode(), addresses=(ipv4.pack("192.0.2.9"),), source=source,
        destination=ipv4.pack("224.0.0.18"),
    )  # fmt: skip
    datagram = ipv4.datagram(source, ipv4.pack("224.0.0.18"), 255, foreign)
    key = "eth0/IPv4/51"
    link = LinkMessage(False, 2, "eth0", IFF_UP | IFF_RUNNING, bytes(6), 1500)
    address = AddressMessage(False, 2, ipv4.pack("192.0.2.253"), 24)
    turns: list[tuple[int, list[Any]]] = [
        (1, [Configured(1, VrrpSection(instances=(config,)), 0)]),
        (1, [events.Remembered("boot", ()), events.KernelRead((link,), (address,))]),
        (2, [Received(Endpoint(2, AddressFamily.IPV4), [(datagram, 2 * S)])]),
        (8, []),
        (
            8,
            [
                InstallFailed(key, ipv4.pack("192.0.2.1"), "Invalid argument"),
                TransmitFailed(key, "No buffer"),
            ],
        ),
        (9, [StopRequested(0)]),
    ]
    said = []
    for second, happened in turns:
        for effect in machine.turn(second * S, happened):
            if isinstance(effect, Publish):
                said.append(json.dumps(to_plain(effect.body)))
            if not isinstance(effect, Advertise):
                said.append(repr(effect))
    assert len(said) > 10
    assert without_secrets("".join(said))


def test_a7_a_plan_tells_that_a_secret_changes_and_not_what_it_is() -> None:
    for old, new in ((PASS, instance()), (instance(), HMAC), (PASS, AH)):
        before = Configuration(vrrp=VrrpSection(instances=(old,)))
        after = Configuration(vrrp=VrrpSection(instances=(new,)))
        text = repr(compare(before, after))
        assert without_secrets(text)
    assert NOT_SHOWN in repr(compare(
        Configuration(vrrp=VrrpSection(instances=(PASS,))), Configuration(vrrp=VrrpSection(instances=(HMAC,)))
    ))  # fmt: skip


def test_a7_a_compiled_section_is_for_the_node_alone(tmp_path: Path) -> None:
    generation.write(tmp_path, Configuration(vrrp=VrrpSection(instances=(PASS,))), Path("x"))
    directory = tmp_path / "config" / "1"
    section = directory / "vrrp.json"
    assert PASSWORD in section.read_text(encoding="utf-8")
    for path in (section, directory, tmp_path / "config"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o007, path
    for other in directory.iterdir():
        assert other == section or without_secrets(other.read_text(encoding="utf-8"))


def test_a7_a_recording_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    Recorder(path).turn(1, [Configured(1, VrrpSection(instances=(PASS,)), 0)])
    assert PASSWORD.encode() in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
