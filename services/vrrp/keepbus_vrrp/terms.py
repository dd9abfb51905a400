"""What an instance's configuration means in octets and microseconds: compiled once, used per packet."""

from __future__ import annotations

from keepbus.config.model import VrrpInstance
from keepbus_vrrp import ipv4, packet
from keepbus_vrrp.netlink import FOREVER_S
from keepbus_vrrp.record import fingerprint
from keepbus_vrrp.timers import NS_PER_US, kernel_can_lease, lease_us


class Terms:
    """Never changes; another configuration has other terms."""

    __slots__ = (
        "_addresses",
        "_auth_data",
        "_auth_type",
        "_config",
        "fingerprint",
        "group",
        "interval_us",
        "lease_us",
        "leased",
        "slack_ns",
        "too_fast_for_lease",
        "valid_s",
    )

    def __init__(self, config: VrrpInstance, *, lease: bool) -> None:
        """lease: `address_lease` of the configuration."""
        self._config = config
        self.fingerprint = fingerprint(config, lease=lease)
        self.interval_us = config.advert_interval_us
        self.leased = lease and kernel_can_lease(self.interval_us)
        """True when the kernel takes the addresses off by itself."""
        self.too_fast_for_lease = lease and not self.leased
        self.lease_us = lease_us(self.interval_us, in_kernel=self.leased)
        self.slack_ns = (self.lease_us - self.interval_us) * NS_PER_US
        """How late an advert may be without the lease having ended."""
        self.valid_s = self.lease_us // 1_000_000 if self.leased else FOREVER_S
        """Lifetime of an address in the kernel."""
        self.group = ipv4.pack(config.mcast_group4)
        self._addresses = tuple(ipv4.pack(address.address) for address in config.virtual_addresses)
        # v3 has no authentication (A6).
        authentication = config.authentication if config.version == 2 else None
        self._auth_type = packet.AUTH_NONE if authentication is None else packet.AUTH_PASS
        password = b"" if authentication is None else authentication.auth_pass.encode()
        self._auth_data = password[: packet.AUTH_DATA_LENGTH].ljust(packet.AUTH_DATA_LENGTH, b"\0")

    def expected(self, source: bytes, master_source: bytes) -> packet.Expected:
        """What is accepted from others; source is the own address."""
        return packet.Expected(
            version=self._config.version,
            virtual_router_id=self._config.virtual_router_id,
            group=self.group,
            source=source,
            auth_type=self._auth_type,
            auth_data=self._auth_data,
            interval_us=self.interval_us,
            addresses=frozenset(self._addresses),
            trusted_source=master_source if self._config.skip_check_adv_addr else b"",
        )

    def advert(self, priority: int, source: bytes, *, message_sum: bool) -> bytes:
        """A whole datagram."""
        message = packet.encode(
            version=self._config.version,
            virtual_router_id=self._config.virtual_router_id,
            priority=priority,
            interval_us=self.interval_us,
            addresses=self._addresses,
            source=source,
            destination=self.group,
            auth_type=self._auth_type,
            auth_data=self._auth_data,
            message_sum=message_sum,
        )
        return ipv4.datagram(source, self.group, packet.TTL, message)
