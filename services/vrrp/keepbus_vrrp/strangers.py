"""What another program took from a master: as keepalived does (features 5.3), everything is released and
comes back after the skew time, so that the kernel is never believed to have what it has not."""

from __future__ import annotations

from collections.abc import Iterable

from keepbus_vrrp import family, publication
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import AddressMessage
from keepbus_vrrp.sentences import seconds


def removed(instances: Iterable[Instance], message: AddressMessage) -> None:
    """The kernel told that an address is gone, and this process did not do it."""
    for instance in instances:
        if instance.holds_addresses and any(
            (address.interface_index, address.address) == (message.interface_index, message.address)
            for address in instance.installable(instance.all_addresses)
        ):
            _release(instance, message.address)


def find_removed(instances: Iterable[Instance]) -> None:
    """Compare with what the kernel has, after its messages were lost (R-F45)."""
    for instance in instances:
        if not instance.holds_addresses:
            continue
        for address in instance.installable(instance.all_addresses):
            link = instance.turn.links.by_index(address.interface_index)
            known = link is not None and address.address in link.addresses
            if not known and address.address not in instance.failed:
                _release(instance, address.address)
                break


def took(instance: Instance, name: str) -> None:
    """Another program removed a route or rule of this name."""
    instance.turn.telling.say(publication.holding(instance, name, "lost", "removed by another program"))
    _give_up(instance, name, f"another program removed {name}")


def _release(instance: Instance, address: bytes) -> None:
    text = family.text(address)
    instance.turn.telling.say(publication.address(instance, address, "lost", "removed by another program"))
    _give_up(instance, text, f"another program removed {text} from {instance.config.interface}")


def _give_up(instance: Instance, text: str, cause: str) -> None:
    skew_us = instance.skew_time_us
    instance.become_backup(
        cause,
        skew_us,
        {"removed": text},
        wait_cause=f"{text} was removed by another program, no advert for the skew time {seconds(skew_us)}",
        release=True,
    )
