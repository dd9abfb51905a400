"""What an instance leaves for its successor always finds room in RUNDIR/vrrp/memory."""

from __future__ import annotations

from pathlib import Path

from keepbus_vrrp import record
from keepbus_vrrp.memory import Memory
from keepbus_vrrp.record import Record

from keepbus.config.model.vrrp import VirtualAddress
from keepbus.contracts.vrrp import Transition, VrrpState

MANY = tuple(
    VirtualAddress(address=f"10.0.{number // 250}.{number % 250}", prefix=32, interface="eth0")
    for number in range(20_000)
)
POINT = VirtualAddress(address="2001:db8::1", prefix=64, interface="eth1", peer="2001:db8::2")


def made(addresses: tuple[VirtualAddress, ...]) -> Record:
    transition = Transition(
        number=1, from_state=VrrpState.INIT, to_state=VrrpState.MASTER, at_ns=1, cause="x" * 200
    )
    return Record(
        key="eth0/IPv4/51",
        boot_id="boot",
        fingerprint="0",
        interface_index=2,
        life="1",
        state=VrrpState.MASTER,
        transitions=16,
        since_ns=1,
        cause="x",
        history=(transition,) * 16,
        dropped={},
        addresses=record.placed(addresses),
    )


def test_addresses_come_back() -> None:
    found = record.load(record.dump(made((MANY[0], POINT))))
    assert found is not None
    assert tuple(record.left_over(found)) == (MANY[0], POINT)
    assert len(found.history) == 16


def test_any_number_of_addresses_has_room(tmp_path: Path) -> None:
    """Once, a master of a hundred addresses ended with the record that did not fit."""
    memory = Memory(tmp_path / "vrrp" / "memory")
    for count in (100, 300, 1000, len(MANY)):
        text = record.dump(made(MANY[:count]))
        memory.write("eth0/IPv4/51", text, holds_lease=True)
        found = record.load(text)
        assert found is not None
        if count == 300:
            assert tuple(record.left_over(found)) == MANY[:300]
    memory.close()


def test_a_record_that_is_none() -> None:
    text = record.dump(made(MANY[:1])).replace("eth0 10.0.0.0/32", "eth0")
    assert record.load(text) is None
