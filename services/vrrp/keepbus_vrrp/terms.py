"""What an instance's configuration means in octets and microseconds: compiled once, used per packet."""

from __future__ import annotations

import functools

from keepbus.config.model.vrrp import (
    FOREVER_S,
    AddressFamily,
    AuthHmac,
    AuthType,
    ChecksumForm,
    HmacMode,
    VrrpInstance,
)
from keepbus_vrrp import ah, hmac_trailer, ipv6, packet
from keepbus_vrrp.family import BY_NAME, IPV6, pack
from keepbus_vrrp.record import fingerprint
from keepbus_vrrp.timers import NS_PER_US, gate_can_lease, kernel_can_lease, lease_us

Copies = tuple[tuple[str, bytes], ...]
"""An advert as it leaves: destination and whole datagram, once for the group or once for each peer (U1)."""

Guard = ah.Guard | hmac_trailer.Guard
"""Of adverts with numbers: at most one of the two."""
_IP_VERSION = {AddressFamily.IPV4: 4, AddressFamily.IPV6: 6}


def _authentication(config: VrrpInstance) -> tuple[int, bytes]:
    """Type and 8 octets of version 2; version 3 has none (A6)."""
    authentication = config.authentication if config.version == 2 else None
    if authentication is None:
        return packet.AUTH_NONE, bytes(packet.AUTH_DATA_LENGTH)
    password = authentication.auth_pass.encode()[: packet.AUTH_DATA_LENGTH]
    auth_type = packet.AUTH_AH if authentication.auth_type is AuthType.AH else packet.AUTH_PASS
    return auth_type, password.ljust(packet.AUTH_DATA_LENGTH, b"\0")


def _policy(auth_hmac: AuthHmac, destinations: int) -> hmac_trailer.Policy:
    return hmac_trailer.Policy(
        keys={key.key_id: bytes.fromhex(key.octets) for key in auth_hmac.keys},
        active_key=auth_hmac.active_key,
        window_us=auth_hmac.time_window_us,
        signs=auth_hmac.mode is not HmacMode.RECEIVE_ONLY,
        enforces=auth_hmac.mode is HmacMode.ENFORCE,
        senders=max(destinations, hmac_trailer.MOST_MULTICAST_SENDERS),
    )


def _seal_octets(config: VrrpInstance) -> int:
    """What authentication adds to an advert."""
    if config.auth_hmac is not None:
        return hmac_trailer.LENGTH
    return ah.LENGTH if _authentication(config)[0] == packet.AUTH_AH else 0


class Terms:
    """Never changes; another configuration has other terms."""

    __slots__ = (
        "_auth_data",
        "_auth_type",
        "_config",
        "_destinations",
        "_old_group",
        "advertised",
        "family",
        "fingerprint",
        "gated",
        "group",
        "interval_us",
        "lease_us",
        "leased",
        "left_out",
        "slack_ns",
        "unicast",
        "valid_s",
    )

    def __init__(self, config: VrrpInstance, *, lease: bool, mtu: int = 0) -> None:
        """lease: `address_lease` of the configuration; mtu: of the interface, 0 while it is not known."""
        self._config = config
        self.fingerprint = fingerprint(config, lease=lease)
        self.interval_us = config.advert_interval_us
        self.leased = lease and kernel_can_lease(self.interval_us)
        """True when the kernel takes the addresses off by itself."""
        gated = lease and not self.leased and gate_can_lease(self.interval_us)
        every = config.virtual_addresses + config.virtual_addresses_excluded
        self.gated = tuple(pack(each.address) for each in every) if gated else ()
        """The addresses that pass the gate while they are held (R-L3)."""
        self.lease_us = lease_us(self.interval_us, in_kernel=self.leased)
        self.slack_ns = (self.lease_us - self.interval_us) * NS_PER_US
        """How late an advert may be without the lease having ended."""
        self.valid_s = self.lease_us // 1_000_000 if self.leased else FOREVER_S
        """Lifetime of an address in the kernel."""
        self.family = BY_NAME[config.family]
        self.unicast = config.unicast_peers is not None
        group = config.mcast_group or self.family.group
        self.group = b"" if self.unicast else pack(group)
        """Empty for unicast."""
        peers = () if config.unicast_peers is None else config.unicast_peers
        named = [peer.address for peer in peers] if self.unicast else [group]
        self._old_group = pack(group) if self.unicast and config.old_unicast_checksum else b""
        self._destinations = tuple((name, pack(name)) for name in named)
        addresses = [address.address for address in config.virtual_addresses]
        room = mtu - _seal_octets(config)
        most = packet.most_addresses(config.version, self.family, room) if mtu else packet.MOST_ADDRESSES
        self.advertised = tuple(pack(address) for address in addresses[:most])
        """The addresses in adverts, in their order (F13)."""
        self.left_out = " ".join(addresses[most:])
        """Addresses for which adverts have no room (F10)."""
        self._auth_type, self._auth_data = _authentication(config)

    @property
    def octets(self) -> int:
        """Length of an advert with its headers and trailer."""
        return packet.octets_of(self._config.version, self.family, len(self.advertised)) + _seal_octets(
            self._config
        )

    @property
    def ah(self) -> bool:
        """Adverts are IP protocol 51 (A5)."""
        return self._auth_type == packet.AUTH_AH

    def guard(self) -> Guard | None:
        """A new guard of numbers, where adverts have them."""
        if self.ah:
            return ah.Guard(self._auth_data)
        auth_hmac = self._config.auth_hmac
        return None if auth_hmac is None else hmac_trailer.Guard(_policy(auth_hmac, len(self._destinations)))

    @property
    def ttl(self) -> int:
        """Of adverts that are sent."""
        return self._config.unicast_ttl if self.unicast else packet.TTL

    @property
    def message_sum(self) -> bool | None:
        """Whether checksums leave the pseudo-header out; None: as the master does it (C5)."""
        form = self._config.checksum
        return None if form is ChecksumForm.AUTO else form is ChecksumForm.MESSAGE

    def expected(self, source: bytes, master_source: bytes, guard: Guard | None = None) -> packet.Expected:
        """What is accepted from others; source is the own address."""
        config = self._config
        first = self.advertised[0] if self.advertised else b""
        return packet.Expected(
            version=config.version,
            virtual_router_id=config.virtual_router_id,
            group=self.group,
            source=source,
            auth_type=self._auth_type,
            auth_data=self._auth_data,
            ah=guard if isinstance(guard, ah.Guard) else None,
            hmac=guard if isinstance(guard, hmac_trailer.Guard) else None,
            interval_us=self.interval_us,
            addresses=frozenset(self.advertised),
            trusted_source=master_source if config.skip_check_adv_addr else b"",
            peers={pack(peer.address): (peer.min_ttl, peer.max_ttl) for peer in config.unicast_peers or ()},
            checksum=config.checksum if config.checksum_strict else ChecksumForm.AUTO,
            old_group=self._old_group,
            # Who is allowed to break the rule here has peers that break it too.
            link_local_first=self.family is IPV6 and ipv6.is_link_local(first),
        )

    def advert(
        self,
        priority: int,
        source: bytes,
        *,
        message_sum: bool,
        guard: Guard | None = None,
        sequence: int = 0,
    ) -> Copies:
        """Whole datagrams. guard seals them, all with the same number (U3)."""
        config = self._config
        copies = []
        sign = None
        if isinstance(guard, hmac_trailer.Guard):
            sign = functools.partial(guard.trailer, _IP_VERSION[self.family.name], source, sequence)
        for name, destination in self._destinations:
            message = packet.encode(
                family=self.family,
                version=config.version,
                virtual_router_id=config.virtual_router_id,
                priority=priority,
                interval_us=self.interval_us,
                addresses=self.advertised,
                source=source,
                destination=self._old_group or destination,
                auth_type=self._auth_type,
                auth_data=b"" if self.ah else self._auth_data,
                message_sum=message_sum,
                sign=sign,
            )
            if isinstance(guard, ah.Guard):
                datagram = guard.datagram(source, destination, self.ttl, sequence, message)
            else:
                datagram = self.family.datagram(source, destination, self.ttl, message)
            copies.append((name, datagram))
        return tuple(copies)
