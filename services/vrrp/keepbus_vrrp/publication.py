"""What an instance says on the bus and leaves in its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepbus.config.model.vrrp import ChecksumForm
from keepbus.contracts import vrrp as contracts
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Effect, Log, Publish
from keepbus_vrrp import family, hmac_trailer, vmac
from keepbus_vrrp.record import Record, placed
from keepbus_vrrp.sentences import seconds
from keepbus_vrrp.timers import NS_PER_US

if TYPE_CHECKING:
    from keepbus_vrrp.instance import Instance


def state(instance: Instance) -> Publish:
    """The instance's retained state."""
    config = instance.config
    return Publish(
        contracts.Instance(
            name=config.name,
            interface=config.interface,
            family=config.family,
            virtual_router_id=config.virtual_router_id,
            version=config.version,
            life=instance.life,
            state=instance.state,
            transitions=instance.transitions,
            since_ns=instance.since_ns,
            cause=instance.cause,
            base_priority=config.priority,
            effective_priority=instance.effective_priority,
            advert_interval_us=instance.terms.interval_us,
            master_down_interval_us=instance.master_down_interval_us,
            master_address=family.text(instance.master_source),
            master_priority=instance.master_priority,
            virtual_addresses=tuple(
                f"{address.address}/{address.prefix}" for address in instance.all_addresses
            ),
            virtual_routes=tuple(each.name for each in config.virtual_routes),
            virtual_rules=tuple(each.name for each in config.virtual_rules),
            refused=tuple(f"{name}: {error}" for name, error in instance.held.refused.items()),
            contested=instance.held.fights.contested,
            kept=tuple(f"{family.text(each)}: {error}" for each, error in instance.kept.items()),
            claims=tuple(each.body() for each in instance.claims.values()),
            holds_addresses=instance.holds_addresses,
            lease_us=instance.terms.lease_us if instance.is_leased else 0,
            lease_kind=_lease_kind(instance),
            faults=instance.faults,
            trackers=instance.tracking.parts,
            demoted=instance.demoted,
            unicast_peers=tuple(peer.address for peer in config.unicast_peers or ()),
            checksum_form=_checksum_form(instance),
            vmacs=tuple(f"{each.name} {each.mac}" for each in vmac.interfaces(config)),
            rivals=instance.rivals.addresses,
            unheard=instance.rivals.unheard,
            history=instance.history,
        )
    )


def transitioned(instance: Instance) -> Publish:
    """The last transition, as an event."""
    name, last = instance.config.name, instance.history[-1]
    return Publish(contracts.Transitioned(instance=name, life=instance.life, transition=last))


def transition(instance: Instance) -> list[Effect]:
    """The last transition, as an event and for the log."""
    last = instance.history[-1]
    name = instance.config.name
    return [
        transitioned(instance),
        Log(
            "warning" if last.to_state is VrrpState.FAULT else "info",
            f"{name}: {last.from_state} -> {last.to_state}: {last.cause}",
        ),
    ]


def priority(instance: Instance, before: int) -> list[Effect]:
    """What is tracked changed the effective priority."""
    name, tracking = instance.config.name, instance.tracking
    return [
        Publish(
            contracts.PriorityChanged(
                instance=name,
                before=before,
                after=tracking.priority,
                cause=tracking.reason,
                state=instance.state,
            )
        ),
        Log("info", f"{name}: {tracking.reason}"),
    ]


def _lease_kind(instance: Instance) -> str:
    if not instance.is_leased:
        return ""
    return "lifetime" if instance.terms.leased else "gate"


def _checksum_form(instance: Instance) -> str:
    if instance.config.version == 2 or instance.terms.family is family.IPV6:
        return ""
    form = ChecksumForm.MESSAGE if instance.adverts.sends_message_sum else ChecksumForm.PSEUDO
    return form.value


def _clock_skews_us(instance: Instance) -> dict[str, int]:
    guard = instance.adverts.guard
    if not isinstance(guard, hmac_trailer.Guard):
        return {}
    return {family.text(source): skew_us for source, skew_us in guard.skews_us.items()}


def address(instance: Instance, address: bytes, action: str, detail: str = "") -> Publish:
    """A virtual address was added, lost or refused."""
    return Publish(
        contracts.AddressChanged(
            instance=instance.config.name,
            address=family.text(address),
            interface=instance.config.interface,
            action=action,
            detail=detail,
        )
    )


def holding(instance: Instance, name: str, action: str, detail: str) -> Publish:
    """A route or rule was lost, restored or refused."""
    return Publish(
        contracts.HoldingChanged(instance=instance.config.name, holding=name, action=action, detail=detail)
    )


def statistics(instance: Instance) -> contracts.Statistics:
    """The counters of now."""
    counted = instance.counters
    last_ns = instance.last_advert_at_ns
    return contracts.Statistics(
        name=instance.config.name,
        adverts_received=counted.adverts_received,
        adverts_sent=counted.adverts_sent,
        became_master=counted.became_master,
        released_master=counted.released_master,
        priority_zero_received=counted.priority_zero_received,
        priority_zero_sent=counted.priority_zero_sent,
        dropped=dict(counted.dropped),
        last_advert_ns=last_ns + instance.turn.wall_offset_ns if last_ns else 0,
        lateness_us_max=counted.lateness_ns_max // NS_PER_US,
        lateness_us_counts=counted.lateness_counts(),
        clock_skews_us=_clock_skews_us(instance),
        disagreements=instance.disagreements.sentences(instance),
    )


def record_of(instance: Instance) -> Record:
    """What a successor needs."""
    return Record(
        key=instance.key,
        boot_id=instance.turn.boot_id,
        fingerprint=instance.terms.fingerprint,
        interface_index=instance.interface_index,
        life=instance.life,
        state=instance.state,
        transitions=instance.transitions,
        since_ns=instance.since_ns,
        cause=instance.cause,
        history=instance.history,
        dropped=dict(instance.counters.dropped),
        addresses=placed(instance.all_addresses) if instance.state is VrrpState.MASTER else (),
        verdicts=tuple(
            heard
            for track in instance.config.trackers
            if (heard := instance.turn.verdicts.get((track.kind, track.name))) is not None
        ),
        demoted=instance.demoted,
    )


def takeover_cause(instance: Instance) -> str:
    """Why a backup's timer ran out."""
    if instance.wait_cause:
        return instance.wait_cause
    silent_us = (instance.turn.now_ns - max(instance.last_advert_at_ns, 0)) // NS_PER_US
    interval = f"master down interval {seconds(instance.wait_us)}"
    if instance.last_advert_at_ns < instance.entered_at_ns:
        waited_us = (instance.turn.now_ns - instance.entered_at_ns) // NS_PER_US
        return f"no advert from anybody for {seconds(waited_us)} ({interval})"
    source = family.text(instance.master_source)
    return f"no advert from {source} for {seconds(silent_us)} ({interval})"


def inputs(instance: Instance) -> dict[str, str]:
    """The values that decided a takeover."""
    values = {
        "priority": str(instance.effective_priority),
        "wait_us": str(instance.wait_us),
    }
    if instance.last_advert_at_ns:
        age_us = (instance.turn.now_ns - instance.last_advert_at_ns) // NS_PER_US
        values["last_advert_age_us"] = str(age_us)
    if instance.master_source:
        values["master_address"] = family.text(instance.master_source)
        values["master_priority"] = str(instance.master_priority)
    return values
