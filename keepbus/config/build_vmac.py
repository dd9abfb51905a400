"""`use_vmac`, `use_vmac_addr`, `vmac_xmit_base` to the model (features 6.5).

Names are given in the order of the file, the first free one of PREFIX.VRID, for IPv6 PREFIX6.VRID, then
PREFIX1.VRID and so on, as keepalived gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keepbus.config.diagnostics import At, Findings
from keepbus.config.model.tracking import TrackerKind
from keepbus.config.model.vrrp import AddressFamily, VirtualAddress, VirtualMac, VrrpInstance
from keepbus.config.vmac_values import VmacWords

if TYPE_CHECKING:
    from keepbus.config.build_vrrp import Draft

_LONGEST_NAME = 15
_PREFIX = "vrrp"
_RFC = {AddressFamily.IPV4: "00005e0001", AddressFamily.IPV6: "00005e0002"}
_WHOLE = 6


def claim_names(findings: Findings, drafts: Iterable[Draft]) -> set[str]:
    """All names of interfaces that the instances use and those that they give to new ones."""
    drafts = list(drafts)
    taken = {draft.instance.interface for draft in drafts}
    for draft in drafts:
        for field in ("vmac", "ipvlan"):
            words = draft.fields.get(field)
            if words is None or not words.name:
                continue
            if words.name in taken:
                findings.error(
                    "duplicate-interface",
                    f"there is another interface {words.name} in this file",
                    draft.fields.where(field),
                    advice=f"give each `use_{field}` a name of its own",
                )
            taken.add(words.name)
    return taken


def place_on_vmacs(
    findings: Findings, drafts: Iterable[Draft], defaults: Mapping[str, Any], taken: set[str]
) -> None:
    """Give the instances their interfaces with virtual MACs, and the addresses to these. taken: names of
    interfaces, to which those given are added."""
    for draft in drafts:
        _Placing(findings, draft, defaults, taken).place()


class _Placing:
    """One instance's."""

    def __init__(
        self, findings: Findings, draft: Draft, defaults: Mapping[str, Any], taken: set[str]
    ) -> None:
        self._findings = findings
        self._draft = draft
        self._fields = draft.fields
        self._defaults = defaults
        self._taken = taken
        self._strict = {**defaults, **draft.fields.values}.get("strict_mode")
        self._made: dict[str, VirtualMac] = {}
        """By the interface below."""

    def place(self) -> None:
        instance = self._draft.instance
        words = self._fields.get("vmac")
        vmac = None
        if isinstance(words, VmacWords):
            vmac = self._vmac(words)
            self._made[instance.interface] = vmac
        xmit_base = self._xmit_base(vmac)
        addresses = [
            (self._moved(address, line.words, vmac), line) for address, line in self._draft.addresses
        ]
        plain = tuple(address for address, _ in addresses)
        advertised = len(instance.virtual_addresses)
        others = tuple(each for each in self._made.values() if each is not vmac)
        self._draft.addresses[:] = addresses
        self._draft.instance = dataclasses.replace(
            instance,
            vmac=vmac,
            vmac_xmit_base=xmit_base,
            address_vmacs=others,
            virtual_addresses=plain[:advertised],
            virtual_addresses_excluded=plain[advertised:],
            trackers=tuple(self._tracked(instance)),
        )

    def _vmac(self, words: VmacWords) -> VirtualMac:
        instance = self._draft.instance
        if words.notifies:
            self._findings.warning(
                "no-effect",
                "`netlink_notify_msg` has no effect: nobody has to be told of the interface below",
                self._fields.where("vmac"),
            )
        mac = words.mac
        if mac and self._strict:
            self._refuse("vmac", "a MAC address of one's own")
            mac = b""
        if mac and len(mac) < _WHOLE:
            mac += bytes((instance.virtual_router_id,))
        name = words.name or self._name()
        return VirtualMac(
            name=name,
            interface=instance.interface,
            mac=mac.hex(":") or self._mac(),
            group=words.group,
        )

    def _xmit_base(self, vmac: VirtualMac | None) -> bool:
        """Always for unicast, as keepalived does: its peers know the interface's own address."""
        instance = self._draft.instance
        wished = bool(self._fields.get("vmac_xmit_base"))
        if vmac is None:
            if wished:
                self._findings.warning(
                    "no-effect",
                    "`vmac_xmit_base` has no effect without `use_vmac`",
                    self._fields.where("vmac_xmit_base"),
                )
            return False
        if wished and self._strict:
            self._refuse("vmac_xmit_base", "`vmac_xmit_base`")
            wished = False
        return wished or instance.unicast_peers is not None

    def _moved(
        self, address: VirtualAddress, words: Sequence[str], vmac: VirtualMac | None
    ) -> VirtualAddress:
        """The address on the interface that has it."""
        if vmac is not None and address.interface == self._draft.instance.interface:
            return dataclasses.replace(address, interface=vmac.name)
        elsewhere = address.interface != self._draft.instance.interface
        if "use_vmac" not in words[1:] and not (elsewhere and self._fields.get("use_vmac_addr")):
            return address
        if address.interface in {each.name for each in self._made.values()}:
            return address
        if address.interface not in self._made:
            self._made[address.interface] = VirtualMac(
                name=self._name(self._defaults.get("vmac_addr_prefix", "")),
                interface=address.interface,
                mac=self._mac(),
            )
        return dataclasses.replace(address, interface=self._made[address.interface].name)

    def _tracked(self, instance: VrrpInstance) -> Iterator[Any]:
        own = {each.name for each in self._made.values()}
        for track in instance.trackers:
            if track.kind is TrackerKind.INTERFACE and track.name in own:
                self._findings.warning(
                    "own-interface",
                    f"interface {track.name} is up only while {instance.name} is master; it is not tracked",
                    self._fields.where("track_interface"),
                )
            else:
                yield track

    def _mac(self) -> str:
        instance = self._draft.instance
        return bytes.fromhex(f"{_RFC[instance.family]}{instance.virtual_router_id:02x}").hex(":")

    def _name(self, prefix: str = "") -> str:
        instance, where = self._draft.instance, self._fields.where("vmac")
        return free_name(self._findings, instance, self._defaults, self._taken, where, prefix=prefix)

    def _refuse(self, field: str, what: str) -> None:
        self._findings.error(
            "strict-mode",
            f"strict mode does not allow {what}",
            self._fields.where(field),
            advice="take it out, or `strict_mode`",
            lenient=True,
        )


def free_name(
    findings: Findings,
    instance: VrrpInstance,
    defaults: Mapping[str, Any],
    taken: set[str],
    where: At,
    *,
    prefix: str = "",
) -> str:
    """The first name that nothing has; it is taken then. prefix: in place of `vmac_prefix`."""
    prefix = prefix or defaults.get("vmac_prefix", _PREFIX)
    six = ["6"] if instance.family is AddressFamily.IPV6 else []
    numbers = ["", *six, *(str(number) for number in range(1, 256) if str(number) not in six)]
    name = next(
        name
        for name in (f"{prefix}{number}.{instance.virtual_router_id}" for number in numbers)
        if name not in taken
    )
    if len(name.encode()) > _LONGEST_NAME:
        findings.error(
            "long-name",
            f"`{name}` is too long for an interface (at most {_LONGEST_NAME} octets)",
            where,
            advice="write a shorter `vmac_prefix`, or a NAME after the keyword",
        )
    taken.add(name)
    return name
