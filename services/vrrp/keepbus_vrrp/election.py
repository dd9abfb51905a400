"""What an accepted advert means to an instance: conformance section 8 as a table.

Law of this file: every pair of a state that takes part in elections and a rank of an advert has exactly one
row. The rank compares priority, and in case of a tie the source address (M6: unsigned, network order).
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Log
from keepbus_vrrp import accession, family, ipv6, tracking
from keepbus_vrrp.instance import Instance
from keepbus_vrrp.packet import Advert
from keepbus_vrrp.sentences import seconds
from keepbus_vrrp.timers import NS_PER_US, OWNER_PRIORITY

_LEAST_CORRECTION_GAP_NS = 1_000_000_000


class Rank(enum.Enum):
    """An advert beside what we would send ourselves."""

    RELEASE = enum.auto()
    """Priority 0: its sender stops being master (P8: never compared)."""
    HIGHER = enum.auto()
    TIE_WON_BY_SENDER = enum.auto()
    TIE_WON_BY_US = enum.auto()
    LOWER = enum.auto()


def rank(instance: Instance, advert: Advert) -> Rank:
    """The advert's rank for this instance."""
    ours = instance.effective_priority
    if advert.priority == 0:
        return Rank.RELEASE
    if advert.priority != ours:
        return Rank.HIGHER if advert.priority > ours else Rank.LOWER
    return Rank.TIE_WON_BY_SENDER if advert.source > instance.source else Rank.TIE_WON_BY_US


def receive(instance: Instance, advert: Advert, content: bytes, at_ns: int) -> None:
    """Apply an advert that passed every check. content is the datagram from its source address on, which
    an equal advert will have too; at_ns is when the kernel received it."""
    if instance.state not in (VrrpState.BACKUP, VrrpState.MASTER):
        instance.counters.drop("not_running")  # I4, D19
        return
    if instance.is_owner and instance.config.owner_ignore_adverts:
        instance.counters.drop("owner_ignores")
        return
    instance.counters.adverts_received += 1
    instance.disagreements.accepted(instance, advert)
    if advert.sequence is not None and instance.adverts.guard is not None:
        said = instance.adverts.guard.accept(advert.source, advert.sequence, instance.turn.wall_ns)
        if said:
            text = f"{instance.config.name}: adverts of {family.text(advert.source)}: {said}"
            instance.turn.effects.append(Log("warning", text))  # X8
    if not advert.same_addresses:
        instance.counters.drop("addr_list_differs")
    if instance.is_owner:
        _look_for_rival(instance, advert)
    rule = RULES[instance.state, rank(instance, advert)]
    rule(instance, advert, content, max(at_ns, instance.entered_at_ns))


def _look_for_rival(instance: Instance, advert: Advert) -> None:
    """M8, P6: another owner is told of, and one that has gone is forgotten."""
    if advert.priority == OWNER_PRIORITY and instance.rivalry.is_news(instance.turn.now_ns):
        text = f"{instance.config.name}: {family.text(advert.source)} is address owner too (priority 255)"
        instance.turn.effects.append(Log("warning", text))
    if instance.rivalry.is_over(advert.source, advert.priority):
        instance.rivalry.end(instance)


def _await_successor(instance: Instance, advert: Advert, _content: bytes, at_ns: int) -> None:
    """B3: the master goes; the best of the backups is the first after its skew time."""
    instance.counters.priority_zero_received += 1
    instance.familiar = b""
    skew_us = instance.skew_time_us
    source = family.text(advert.source)
    instance.last_advert_at_ns = at_ns
    instance.wait(
        skew_us,
        at_ns,
        f"{source} released (priority 0), no other advert for the skew time {seconds(skew_us)}",
    )


def _follow(instance: Instance, advert: Advert, content: bytes, at_ns: int) -> None:
    """B4, B6: a master at least as good as we are."""
    instance.preempt_at_ns = 0
    _accept(instance, advert, at_ns)
    # What has a number never comes twice: an equal one would be a replay.
    instance.familiar = content if advert.sequence is None else b""
    instance.familiar_ttl = advert.ttl


def _follow_or_preempt(instance: Instance, advert: Advert, content: bytes, at_ns: int) -> None:
    """B5, E1 to E3: a master that is worse than we are."""
    if instance.config.nopreempt and not instance.is_owner:  # P7: the owner always preempts
        _follow(instance, advert, content, at_ns)
        return
    if instance.config.preempt_delay_us or instance.preempt_at_ns:
        if not instance.preempt_at_ns:
            instance.preempt_at_ns = at_ns + instance.config.preempt_delay_us * NS_PER_US
        if at_ns < instance.preempt_at_ns:
            _accept(instance, advert, at_ns)
            return
    instance.familiar = b""
    instance.passed_over_at_ns = at_ns
    source = family.text(advert.source)
    _meet_master(instance, advert)
    instance.wait_cause = (
        f"{source} advertises priority {advert.priority}, lower than {instance.effective_priority} here "
        f"(preemption after {seconds(instance.wait_us)}){tracking.because(instance)}"
    )


def _accept(instance: Instance, advert: Advert, at_ns: int) -> None:
    instance.wishes_master = False
    if advert.interval_us != instance.master_interval_us:
        instance.master_interval_us = advert.interval_us  # L1
        instance.turn.other_pace = True
        instance.publish()
        if advert.interval_us > 10 * instance.terms.interval_us:  # L5
            text = (
                f"{instance.config.name}: {family.text(advert.source)} advertises every "
                f"{seconds(advert.interval_us)}, {seconds(instance.terms.interval_us)} is configured here; "
                "a takeover will take that much longer"
            )
            instance.turn.effects.append(Log("warning", text))
    instance.take_checksum_form(advert.message_sum)
    instance.last_advert_at_ns = at_ns
    instance.wait(instance.master_down_interval_us, at_ns)
    _meet_master(instance, advert)


def _meet_master(instance: Instance, advert: Advert) -> None:
    if not instance.take_master(advert.source, advert.priority):
        return
    terms = instance.terms
    if terms.family is family.IPV6 and not terms.unicast and not ipv6.is_link_local(advert.source):  # S2
        source = family.text(advert.source)
        text = f"{source} sends adverts from an address that is not link-local (RFC 9568 5.1.2)"
        instance.turn.effects.append(Log("warning", f"{instance.config.name}: {text}"))
    instance.publish()


def _reassert(instance: Instance, _advert: Advert, _content: bytes, _at_ns: int) -> None:
    """M3, M4: somebody released; tell his backups at once who is master."""
    instance.counters.priority_zero_received += 1
    instance.advertise()
    instance.turn.timers.arm_renewal(
        instance.timer, instance.turn.now_ns + instance.terms.interval_us * NS_PER_US
    )


def _yield(instance: Instance, advert: Advert, _content: bytes, at_ns: int) -> None:
    """M5, M6: a better master."""
    ours = instance.effective_priority
    source = family.text(advert.source)
    if advert.priority > ours:
        cause = f"{source} advertises priority {advert.priority}, higher than {ours} here"
    else:
        own = family.text(instance.source)
        cause = f"{source} advertises the same priority {ours} from a higher address than {own}"
    cause += tracking.because(instance)
    values = {
        "priority": str(ours),
        "master_address": source,
        "master_priority": str(advert.priority),
    }
    accession.say_last_word(instance)
    if advert.interval_us != instance.master_interval_us:
        instance.master_interval_us = advert.interval_us  # L2
    instance.take_master(advert.source, advert.priority)
    instance.last_advert_at_ns = instance.turn.now_ns
    instance.become_backup(cause, instance.master_down_interval_us, values)


def _contest(instance: Instance, advert: Advert, content: bytes, at_ns: int) -> None:
    """M7; among owners, one that goes on although its address is lower is given way to."""
    interval_us = max(advert.interval_us, instance.terms.interval_us)
    if instance.is_owner and instance.rivalry.insists(advert.source, interval_us, instance.turn.now_ns):
        instance.rivalry.give_in(instance)
        _yield(instance, advert, content, at_ns)
    else:
        _correct(instance, advert, content, at_ns)


def _correct(instance: Instance, advert: Advert, _content: bytes, at_ns: int) -> None:
    """M7, M10: a worse master; it and the neighbours whom it told are put right."""
    last_word = accession.is_last_word(instance, advert.source, at_ns)
    if not last_word and instance.rivals.heard(advert, at_ns):
        _yield_unheard(instance, advert)
        return
    if not instance.config.lower_prio_no_advert:
        instance.advertise()
    turn = instance.turn
    if turn.now_ns - instance.last_correction_at_ns < _LEAST_CORRECTION_GAP_NS:
        return
    instance.last_correction_at_ns = turn.now_ns
    for each in (instance,) if instance.group is None else instance.group.members:
        garp = each.config.garp
        each.announcer.burst(garp.lower_prio_repeat)
        if garp.lower_prio_delay_us:
            each.announcer.burst(garp.lower_prio_repeat, delay_us=garp.lower_prio_delay_us)


def _yield_unheard(instance: Instance, advert: Advert) -> None:
    """R-L11: nobody hears this master, so that the worse one is the better one, for a while."""
    hold_us = instance.config.one_way_yield_us
    source = family.text(advert.source)
    cause = f"{source} does not hear this router and is master too; it has {seconds(hold_us)} (one_way_yield)"
    values = {"master_address": source, "master_priority": str(advert.priority)}
    instance.become_backup(cause, instance.master_down_interval_us, values, release=True)
    instance.preempt_at_ns = instance.turn.now_ns + hold_us * NS_PER_US


Rule = Callable[[Instance, Advert, bytes, int], None]

RULES: dict[tuple[VrrpState, Rank], Rule] = {
    (VrrpState.BACKUP, Rank.RELEASE): _await_successor,
    (VrrpState.BACKUP, Rank.HIGHER): _follow,
    (VrrpState.BACKUP, Rank.TIE_WON_BY_SENDER): _follow,
    (VrrpState.BACKUP, Rank.TIE_WON_BY_US): _follow,
    (VrrpState.BACKUP, Rank.LOWER): _follow_or_preempt,
    (VrrpState.MASTER, Rank.RELEASE): _reassert,
    (VrrpState.MASTER, Rank.HIGHER): _yield,
    (VrrpState.MASTER, Rank.TIE_WON_BY_SENDER): _yield,
    (VrrpState.MASTER, Rank.TIE_WON_BY_US): _contest,
    (VrrpState.MASTER, Rank.LOWER): _correct,
}
