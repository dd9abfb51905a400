"""A message's body in a few words: what a person who follows the bus wants to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keepbus.cli.terminal import clean, duration, plural
from keepbus.contracts import audit, bfd, checker, common, hub, ipvs, notify, vrrp, watchdog
from keepbus.contracts.message import Message

_GOOD = frozenset({"MASTER", "ready", "up", "added", "restored"})
_BAD = frozenset({"FAULT", "STOP", "down", "degraded", "failed", "expired", "refused", "kept", "claimed"})
_MOST_VALUE_CHARACTERS = 60


def gist(message: Message) -> tuple[str, str]:
    """The word that sums it up (empty when there is none), and the rest. Nothing a terminal would obey."""
    if message.body is None:
        return "withdrawn", ""
    tell = _TELLERS.get(type(message.body), _fields)
    word, rest = tell(message.body)
    return clean(word), clean(rest)


def mood(word: str) -> str:
    """`green`, `red` or `yellow` for a word of `gist`."""
    if word in _GOOD:
        return "green"
    return "red" if word in _BAD else "yellow"


def exit_words(status: int | None) -> str:
    """How a script ended."""
    if status is None:
        return "runs"
    if status < 0:
        return f"was ended by signal {-status}"
    return "succeeded" if status == 0 else f"failed with status {status}"


def _instance(body: vrrp.Instance) -> tuple[str, str]:
    held = plural(len(body.virtual_addresses), "address", "addresses")
    return body.state.value, (
        f"priority {body.effective_priority}, {'holds' if body.holds_addresses else 'without'} {held}, "
        f"transition {body.transitions}: {body.cause}"
    )


def _transition(body: vrrp.Transitioned) -> tuple[str, str]:
    step = body.transition
    return step.to_state.value, f"from {step.from_state}, transition {step.number}: {step.cause}"


def _group(body: vrrp.SyncGroup) -> tuple[str, str]:
    return body.state.value, f"{', '.join(body.members)}, transition {body.transitions}: {body.cause}"


def _group_transition(body: vrrp.GroupTransitioned) -> tuple[str, str]:
    step = body.transition
    return step.to_state.value, f"from {step.from_state}, transition {step.number}: {step.cause}"


def _vrrp_statistics(body: vrrp.Statistics) -> tuple[str, str]:
    dropped = f", {sum(body.dropped.values())} refused" if body.dropped else ""
    return "", f"{body.adverts_sent} adverts sent, {body.adverts_received} received{dropped}"


def _priority(body: vrrp.PriorityChanged) -> tuple[str, str]:
    return body.state.value, body.cause


def _dropped(body: vrrp.Dropped) -> tuple[str, str]:
    more = f" (and {body.suppressed} like it)" if body.suppressed else ""
    return "refused", f"advert from {body.source}: {body.reason}, {body.detail}{more}"


def _address(body: vrrp.AddressChanged) -> tuple[str, str]:
    return body.action, f"{body.address} on {body.interface}{': ' if body.detail else ''}{body.detail}"


def _holding(body: vrrp.HoldingChanged) -> tuple[str, str]:
    return body.action, f"{body.holding}{': ' if body.detail else ''}{body.detail}"


def _resumed(body: vrrp.Resumed) -> tuple[str, str]:
    return body.state.value, f"a new process goes on, silent for {duration(body.silent_us * 1000)}"


def _conflict(body: vrrp.Conflict) -> tuple[str, str]:
    return "" if body.phase is vrrp.ConflictPhase.ENDED else body.phase.value, body.detail


def _demote(body: vrrp.Demote) -> tuple[str, str]:
    return "", f"{'undo the demotion of' if body.undo else 'demote'} {body.instance}"


def _demoted(body: vrrp.Demoted) -> tuple[str, str]:
    return "demoted" if body.demoted else "", body.detail


def _service(body: common.Service) -> tuple[str, str]:
    generation = f", generation {body.generation}" if body.generation else ""
    return body.status.value, f"pid {body.pid}{generation}: {body.detail}"


def _gap(body: common.Gap) -> tuple[str, str]:
    return "lost", f"{plural(body.lost, 'message')} on {body.topic} from {body.source}"


def _reject(body: common.Reject) -> tuple[str, str]:
    peer = f" from {body.peer}" if body.peer else ""
    return "refused", f"{body.reason}, {body.length} octets{peer}, number {body.count}"


def _verdict(body: checker.CheckVerdict) -> tuple[str, str]:
    return body.verdict.value, _evidence(body.evidence) if body.evidence else f"{body.kind} {body.target}"


def _probe_failed(body: checker.ProbeFailed) -> tuple[str, str]:
    return "failed", f"attempt {body.attempt} of {body.attempts}: {_evidence(body.evidence)}"


def _evidence(evidence: checker.Evidence) -> str:
    return f"{evidence.sent}: {evidence.received}, {duration(evidence.took_us * 1000)}"


def _certificate(body: checker.Certificate | checker.CertificateExpiring) -> tuple[str, str]:
    return certificate_ends(body.days_left), f"certificate of {body.target}: {body.subject}"


def certificate_ends(days_left: int) -> str:
    """`ends in 9 days`."""
    if days_left < 0:
        return f"ended {plural(-days_left, 'day')} ago"
    return f"ends in {plural(days_left, 'day')}"


def _tracker(body: checker.Tracker) -> tuple[str, str]:
    return body.verdict.value, _evidence(body.evidence) if body.evidence else f"{body.kind} {body.name}"


def _session(body: bfd.Session) -> tuple[str, str]:
    return "up" if body.up else "down", body.detail


def _virtual_server(body: ipvs.VirtualServer) -> tuple[str, str]:
    alive = sum(server.in_table and server.weight > 0 for server in body.real_servers)
    sorry = ", sorry server" if body.sorry_server_active else ""
    error = f": {body.error}" if body.error else ""
    return (
        "up" if body.quorum_up else "down",
        f"{alive} of {len(body.real_servers)} servers, weight {body.weight_up}{sorry}{error}",
    )


def _table(body: ipvs.Table) -> tuple[str, str]:
    error = f": {body.last_error}" if body.last_error else ""
    return "", f"{body.driver}, {body.services} services, {body.destinations} destinations{error}"


def _real_server_changed(body: ipvs.RealServerChanged) -> tuple[str, str]:
    return "up" if body.up else "down", f"{body.real_server} because {body.reason}"


def _drain(body: ipvs.Drain) -> tuple[str, str]:
    return "", f"{'undrain' if body.undo else 'drain'} {body.real_server} {body.virtual_server}".rstrip()


def _drain_changed(body: ipvs.DrainChanged) -> tuple[str, str]:
    where = f" in {len(body.virtual_servers)} virtual servers" if body.virtual_servers else ""
    return "drained" if body.drained else "", f"{body.real_server}{where}{body.error and f': {body.error}'}"


def _sync_daemon(body: ipvs.SyncDaemon) -> tuple[str, str]:
    error = f": {body.error}" if body.error else ""
    return body.running or "down", f"{body.interface} id {body.sync_id}{error}"


def _changed(body: ipvs.Changed) -> tuple[str, str]:
    return body.action, f"{body.what} because {body.reason}"


def _notified(body: notify.Notified) -> tuple[str, str]:
    waiting = f", {body.pending} wait" if body.pending else ""
    lost = f", {body.lost} lost" if body.lost else ""
    last = f"; {body.last_command} {exit_words(body.last_exit)}" if body.last_command else ""
    return "", f"transition {body.notified}{waiting}{lost}{last}"


def _fifo(body: notify.Fifo) -> tuple[str, str]:
    lost = f", {plural(body.lost, 'line')} lost" if body.lost else ""
    return "failed" if body.error else "", f"{body.keyword}{lost}{': ' * bool(body.error)}{body.error}"


def _mail(body: notify.Mail) -> tuple[str, str]:
    error = f": {body.last_error}" if body.last_error else ""
    counts = f"{body.sent} sent, {body.waiting} waiting, {body.lost} given up"
    return "failed" if body.last_error else "", counts + error


def _script_run(body: notify.ScriptRun) -> tuple[str, str]:
    error = f": {body.error}" if body.error else ""
    how = exit_words(body.exit_status) + (" after its time limit" if body.timed_out else "")
    return (
        "failed" if body.exit_status else "",
        f"{body.script} for {body.state} {how} in {duration(body.took_us * 1000)}{error}",
    )


def _death(body: watchdog.Death) -> tuple[str, str]:
    return "down", f"pid {body.pid} ended by itself"


def _returned(body: watchdog.Returned) -> tuple[str, str]:
    return "up", f"pid {body.pid} is back after {duration(body.away_us * 1000)}"


def _journal(body: audit.Journal) -> tuple[str, str]:
    error = f", {body.lost} lost: {body.error}" if body.error else ""
    return "failed" if body.error else "", f"{body.lines} lines, {body.octets} octets{error}"


def _hub_statistics(body: hub.Statistics) -> tuple[str, str]:
    refused = f", {sum(body.rejected.values())} refused" if body.rejected else ""
    return "", f"{body.received} received, {body.retained} states kept{refused}"


def _fields(body: Any) -> tuple[str, str]:
    """Any body: its fields that say something."""
    words = []
    for field in dataclasses.fields(body):
        value = getattr(body, field.name)
        if value not in ("", None, (), {}) and not dataclasses.is_dataclass(value):
            text = str(value)
            words.append(f"{field.name}={text[:_MOST_VALUE_CHARACTERS]}")
    return "", " ".join(words)


_TELLERS: dict[type, Callable[[Any], tuple[str, str]]] = {
    vrrp.Instance: _instance,
    vrrp.Transitioned: _transition,
    vrrp.SyncGroup: _group,
    vrrp.GroupTransitioned: _group_transition,
    vrrp.Statistics: _vrrp_statistics,
    vrrp.PriorityChanged: _priority,
    vrrp.Dropped: _dropped,
    vrrp.AddressChanged: _address,
    vrrp.HoldingChanged: _holding,
    vrrp.Resumed: _resumed,
    vrrp.Conflict: _conflict,
    vrrp.Demote: _demote,
    vrrp.Demoted: _demoted,
    common.Service: _service,
    common.Gap: _gap,
    common.Reject: _reject,
    checker.CheckVerdict: _verdict,
    checker.ProbeFailed: _probe_failed,
    checker.Certificate: _certificate,
    checker.CertificateExpiring: _certificate,
    checker.Tracker: _tracker,
    bfd.Session: _session,
    ipvs.VirtualServer: _virtual_server,
    ipvs.Table: _table,
    ipvs.Changed: _changed,
    ipvs.RealServerChanged: _real_server_changed,
    ipvs.Drain: _drain,
    ipvs.DrainChanged: _drain_changed,
    ipvs.SyncDaemon: _sync_daemon,
    notify.Notified: _notified,
    notify.ScriptRun: _script_run,
    notify.Fifo: _fifo,
    notify.Mail: _mail,
    watchdog.Death: _death,
    watchdog.Returned: _returned,
    audit.Journal: _journal,
    hub.Statistics: _hub_statistics,
}
