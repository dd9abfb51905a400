"""What another program took from a master, or gave to a backup.

Taken: as keepalived does (features 5.3), everything is released and comes back after the skew time, so that
the kernel is never believed to have what it has not. Given: it goes at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import family, publication
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.netlink import Address, AddressMessage
from keepbus_vrrp.sentences import seconds


def removed(instances: Iterable[Instance], message: AddressMessage) -> None:
    """The kernel told that an address is gone, and this process did not do it."""
    for instance in instances:
        if instance.holds_addresses and _is_watched(instance, message):
            _release(instance, message.address)


def added(instances: Iterable[Instance], message: AddressMessage) -> None:
    """An address appeared, and this process did not do it: two nodes would answer for one that is an
    instance's and that this node must not hold (R-F48). keepalived leaves it."""
    for instance in instances:
        if instance.state in (VrrpState.BACKUP, VrrpState.FAULT) and _is_watched(instance, message):
            # It may have come with another prefix length, by which the kernel knows it.
            index, address, prefix = message.interface_index, message.address, message.prefix
            instance.turn.remove(instance.key, (Address(index, address, prefix),))
            why = f"another program added it while {instance.state}"
            instance.turn.telling.say(publication.address(instance, address, "removed", why))
            count(instance, family.text(address), "adds")


def compare(instances: Iterable[Instance]) -> None:
    """With what the kernel has, after its messages were lost (R-F45)."""
    for instance in instances:
        watched = tuple(each for each in instance.all_addresses if not each.no_track)
        for address in instance.installable(watched):
            link = instance.turn.links.by_index(address.interface_index)
            known = link is not None and address.address in link.addresses
            if instance.holds_addresses and not known and address.address not in instance.failed:
                _release(instance, address.address)
                break
            if known and not instance.holds_addresses and link is not None:
                prefix = link.addresses[address.address]
                added((instance,), AddressMessage(False, link.index, address.address, prefix))


def _is_watched(instance: Instance, message: AddressMessage) -> bool:
    """One of the instance's addresses, where it belongs."""
    link = instance.turn.links.by_index(message.interface_index)
    if link is None:
        return False
    text = family.text(message.address)
    return any(
        each.address == text and each.interface == link.name and not each.no_track
        for each in instance.all_addresses
    )


def count(instance: Instance, name: str, does: str) -> None:
    """It happened once more; five times within a minute are an alarm."""
    if instance.held.fights.count(name):
        text = f"{instance.config.name}: another program {does} {name} again and again; find out which"
        instance.turn.telling.say(Log("error", text))
        instance.publish()


def took(instance: Instance, name: str) -> None:
    """Another program removed a route or rule of this name."""
    instance.turn.telling.say(publication.holding(instance, name, "lost", "removed by another program"))
    _give_up(instance, name, f"another program removed {name}")


def _release(instance: Instance, address: bytes) -> None:
    text = family.text(address)
    instance.turn.telling.say(publication.address(instance, address, "lost", "removed by another program"))
    _give_up(instance, text, f"another program removed {text} from {instance.config.interface}")


def _give_up(instance: Instance, text: str, cause: str) -> None:
    count(instance, text, "removes")
    skew_us = instance.skew_time_us
    instance.become_backup(
        cause,
        skew_us,
        {"removed": text},
        wait_cause=f"{text} was removed by another program, no advert for the skew time {seconds(skew_us)}",
        release=True,
    )
