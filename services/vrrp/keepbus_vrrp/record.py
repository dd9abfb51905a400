"""What an instance leaves for the process that comes after it, and whether that one may go on as master.

A crash is not a failover (reliability R-L5): while the lease runs, nobody else can have taken over, so a
new process that finds everything as it was is the same router.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from keepbus.config.model.vrrp import VirtualAddress, VrrpInstance
from keepbus.contracts.schema import SchemaError, from_plain, to_plain
from keepbus.contracts.vrrp import Transition, VrrpState

MOST_OCTETS = 16_000
"""A longer record is cut, see `dump`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The last verdict on something that is tracked."""

    kind: str
    name: str
    up: bool | None
    """None when whoever watches it can't: it counts for nothing, and nobody waits for it."""
    value: int
    """A file's number."""
    since_ns: int
    """Wall clock of its last change; 0 for interfaces."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An instance at its last change."""

    key: str
    boot_id: str
    fingerprint: str
    """Of the instance's configuration."""
    interface_index: int
    life: str
    state: VrrpState
    transitions: int
    since_ns: int
    cause: str
    history: tuple[Transition, ...]
    dropped: dict[str, int]
    addresses: tuple[str, ...]
    """Installed then, if it was master: see `placed`."""
    verdicts: tuple[Heard, ...] = ()
    """On what it tracks."""
    demoted: bool = False
    """By command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """A sync group at its last change."""

    name: str
    life: str
    state: VrrpState
    transitions: int
    since_ns: int
    cause: str
    history: tuple[Transition, ...]


def fingerprint(config: VrrpInstance, *, lease: bool) -> str:
    """Equal for equal configurations, whatever generation they are in."""
    text = json.dumps([to_plain(config), lease], ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def placed(addresses: Iterable[VirtualAddress]) -> tuple[str, ...]:
    """What it takes to remove addresses, as INTERFACE ADDRESS/PREFIX[ PEER]."""
    return tuple(
        f"{each.interface} {each.address}/{each.prefix}" + (f" {each.peer}" if each.peer else "")
        for each in addresses
    )


def left_over(record: Record) -> Iterator[VirtualAddress]:
    """The addresses that the record names."""
    for text in record.addresses:
        interface, address, *peer = text.split(" ")
        host, _, prefix = address.partition("/")
        yield VirtualAddress(address=host, prefix=int(prefix), interface=interface, peer="".join(peer))


def dump(record: Record | GroupRecord) -> str:
    """JSON text. What is too long loses its oldest transitions, then addresses: those that stand in the
    configuration still are found there."""
    text = _text(record)
    while len(text.encode()) > MOST_OCTETS:
        if record.history:
            record = replace(record, history=record.history[1:])
        elif isinstance(record, Record) and record.addresses:
            record = replace(record, addresses=record.addresses[: len(record.addresses) // 2])
        else:
            break
        text = _text(record)
    return text


def _text(record: Record | GroupRecord) -> str:
    return json.dumps(to_plain(record), ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> Record | None:
    """None when the text is no record of this version."""
    try:
        record = from_plain(Record, json.loads(text))
        list(left_over(record))
        return record
    except (ValueError, SchemaError):
        return None


def load_group(text: str) -> GroupRecord | None:
    """None when the text is no group's record of this version."""
    try:
        return from_plain(GroupRecord, json.loads(text))
    except (ValueError, SchemaError):
        return None


def obstacle(
    record: Record, *, now_ns: int, lease_end_ns: int, boot_id: str, fingerprint: str, interface_index: int
) -> str:
    """Why a new process must not go on as master; empty when it may. The caller looks at the addresses."""
    if record.state is not VrrpState.MASTER:
        return f"it was {record.state}"
    if record.boot_id != boot_id:
        return "the machine was started anew"
    if now_ns >= lease_end_ns:
        return f"its lease ran out {(now_ns - lease_end_ns) / 1e9:.3f} s ago"
    if record.fingerprint != fingerprint:
        return "its configuration changed"
    if record.interface_index != interface_index:
        return "its interface is another one"
    return ""
