"""`keepbus metrics`: a node's states as Prometheus reads them, once or for whoever asks over HTTP.

Law of this file: it only listens. Every number is one of a message's fields (docs/messages.md) in Prometheus'
units: seconds, and counters that end in `_total`. A counter begins anew with the life or process that counts.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from keepbus.cli.bus import NoNode, collect
from keepbus.cli.node import Node, assemble
from keepbus.cli.rundir import add_run_dir
from keepbus.contracts import checker, ipvs, vrrp
from keepbus.contracts.common import Status

ABOUT = "print what a node counts in Prometheus' format, or serve it over HTTP"

_NS = 1e9
_US = 1e6
_AT_WORK = (Status.READY, Status.IDLE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    add_run_dir(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", type=_endpoint, help="serve it at http://ADDRESS:PORT/metrics"
    )


def run(options: argparse.Namespace) -> int:
    """0 after printing or an orderly end; 1 when there is no node to print, or nothing can listen there."""
    if options.listen is None:
        try:
            states = collect(options.run_dir)
        except NoNode as reason:
            print(f"keepbus: {reason}", file=sys.stderr)
            return 1
        node = assemble(states, time.time_ns())
        sys.stdout.write(generate_latest(_registry(lambda: families(node))).decode())
        return 0
    address, port = options.listen
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        server, thread = start_http_server(port, address, _registry(lambda: _of_now(options.run_dir)))
    except OSError as error:
        print(f"keepbus: cannot listen on {address} port {port}: {error.strerror}", file=sys.stderr)
        return 1
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.shutdown()
    server.server_close()
    thread.join()
    return 0


def families(node: Node) -> Iterator[Metric]:
    """All metrics of a node."""
    yield _one("keepbus_up", "1 when the node's hub answers.", 1)
    yield _one("keepbus_problems", "What `keepbus status` calls wrong.", len(node.problems()))
    yield _one("keepbus_generation", "Newest configuration generation that a service runs.", node.generation)
    yield from _services(node)
    yield from _instances(node)
    yield from _statistics(node)
    yield from _virtual_servers(node)
    yield from _real_servers(node)
    yield from _table(node)
    yield from _notifications(node)
    trackers = _gauge("tracker_up", "1 while a script, process or file is up.", "kind", "name")
    for tracker in node.trackers.values():
        _put(trackers, tracker.verdict == checker.Verdict.UP, tracker.kind, tracker.name)
    ends = _gauge("certificate_not_after_seconds", "When a server's certificate ends.", "target", "subject")
    for told in node.certificates.values():
        _put(ends, told.not_after_ns / _NS, told.target, told.subject)
    yield from (trackers, ends)


def _services(node: Node) -> Iterator[Metric]:
    up = _gauge("service_up", "1 while a service says that it is at work.", "service")
    started = _gauge("service_start_time_seconds", "When its process started.", "service")
    late = _gauge("service_timer_lateness_seconds", "Latest timer since the last heartbeat.", "service")
    lost = _counter("service_bus_lost", "Bus messages that it missed or could not send.", "service")
    for beat in node.services:
        at_work = beat.body is not None and beat.body.status in _AT_WORK and not beat.silent
        _put(up, at_work, beat.name)
        if beat.body is not None:
            _put(started, beat.body.started_ns / _NS, beat.name)
            _put(late, beat.body.lateness_us_max / _US, beat.name)
            _put(lost, beat.body.lost + beat.body.unsent, beat.name)
    yield from (up, started, late, lost)


def _instances(node: Node) -> Iterator[Metric]:
    who = ("instance", "interface", "vrid", "family")
    state = _gauge("vrrp_state", "1 for the state that the instance is in.", *who, "state")
    since = _gauge("vrrp_state_since_seconds", "When it came to that state.", "instance")
    held = _gauge("vrrp_addresses_held", "1 while the virtual addresses are here.", "instance")
    priority = _gauge("vrrp_priority", "Effective priority.", "instance")
    rivals = _gauge("vrrp_rivals", "Others who are master too.", "instance")
    transitions = _counter("vrrp_transitions", "State changes in the instance's life.", "instance")
    for each in node.instances:
        name = each.name
        for one in vrrp.VrrpState:
            at = (name, each.interface, str(each.virtual_router_id), str(each.family), one)
            _put(state, each.state == one, *at)
        _put(since, each.since_ns / _NS, name)
        _put(held, each.holds_addresses, name)
        _put(priority, each.effective_priority, name)
        _put(rivals, len(each.rivals), name)
        _put(transitions, each.transitions, name)
    yield from (state, since, held, priority, rivals, transitions)


_COUNTED: Mapping[str, tuple[str, Callable[[vrrp.Statistics], int]]] = {
    "vrrp_adverts_sent": ("Adverts that left.", lambda of: of.adverts_sent),
    "vrrp_adverts_received": ("Adverts of others that were accepted.", lambda of: of.adverts_received),
    "vrrp_priority_zero_sent": ("Resignations that left.", lambda of: of.priority_zero_sent),
    "vrrp_priority_zero_received": ("Resignations of others.", lambda of: of.priority_zero_received),
    "vrrp_became_master": ("Transitions to MASTER.", lambda of: of.became_master),
    "vrrp_released_master": ("Transitions from MASTER.", lambda of: of.released_master),
}


def _statistics(node: Node) -> Iterator[Metric]:
    for metric, (about, number) in _COUNTED.items():
        counter = _counter(metric, about, "instance")
        for name, counted in node.adverts.items():
            _put(counter, number(counted), name)
        yield counter
    dropped = _counter("vrrp_dropped", "Packets refused or odd, by reason.", "instance", "reason")
    late = HistogramMetricFamily(
        "keepbus_vrrp_timer_lateness_seconds", "How late adverts and timers were.", labels=("instance",)
    )
    for name, counted in node.adverts.items():
        for reason, count in sorted(counted.dropped.items()):
            _put(dropped, count, name, reason)
        if counted.lateness_us_counts:
            late.add_metric((name,), list(_buckets(counted.lateness_us_counts)), sum_value=None)
    yield from (dropped, late)


def _buckets(counts: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    """Upper bounds in seconds, each with how many are below it; bucket k of a message ends at 2 ** k µs."""
    below = 0
    for bucket, count in enumerate(counts):
        below += count
        yield (f"{(1 << bucket) / _US:g}", below)
    yield ("+Inf", below)


def _virtual_servers(node: Node) -> Iterator[Metric]:
    gauges: Mapping[str, tuple[str, Callable[[ipvs.VirtualServer], float]]] = {
        "virtual_server_quorum_up": ("1 while the quorum is reached.", lambda of: of.quorum_up),
        "virtual_server_weight_up": ("Weights of living real servers.", lambda of: of.weight_up),
        "virtual_server_quorum": ("The configured quorum.", lambda of: of.quorum),
        "virtual_server_sorry": ("1 while the sorry server answers.", lambda of: of.sorry_server_active),
        "virtual_server_error": ("1 while the kernel has not what is wanted.", lambda of: bool(of.error)),
    }
    for metric, (about, number) in gauges.items():
        gauge = _gauge(metric, about, "virtual_server")
        for server in node.virtual_servers:
            _put(gauge, number(server), server.name)
        yield gauge


def _real_servers(node: Node) -> Iterator[Metric]:
    who = ("virtual_server", "real_server")
    up = _gauge("real_server_up", "1 while it may serve: no check is down.", *who)
    weight = _gauge("real_server_weight", "Its weight in the kernel; 0 when it is not there.", *who)
    active = _gauge("real_server_active_connections", "As the kernel counts them.", *who)
    inactive = _gauge("real_server_inactive_connections", "As the kernel counts them.", *who)
    total = _counter("real_server_connections", "Since it was written to the table.", *who)
    for server in node.virtual_servers:
        for real in server.real_servers:
            at = (server.name, real.address)
            _put(up, real.alive and real.verdict != checker.Verdict.DOWN, *at)
            _put(weight, real.weight, *at)
            _put(active, real.active_connections, *at)
            _put(inactive, real.inactive_connections, *at)
            _put(total, real.total_connections, *at)
    yield from (up, weight, active, inactive, total)


def _table(node: Node) -> Iterator[Metric]:
    table = node.table
    if table is None:
        return
    yield _one("keepbus_table_services", "Virtual servers in the table.", table.services)
    yield _one("keepbus_table_destinations", "Real servers in the table.", table.destinations)
    yield _one("keepbus_table_foreign", "Entries of others, left alone.", table.foreign)
    for metric, about, value in (
        ("table_drift_repaired", "Entries that others changed, put back.", table.drift_repaired),
        ("table_writes", "Changes written.", table.writes),
        ("table_errors", "Changes that the kernel refused.", table.errors),
    ):
        counter = _counter(metric, about)
        _put(counter, value)
        yield counter


def _notifications(node: Node) -> Iterator[Metric]:
    runs = _counter("notify_runs", "Scripts started.", "object")
    failures = _counter("notify_failures", "Scripts that did not end with 0.", "object")
    lost = _counter("notify_lost", "Transitions that were never notified.", "object")
    for each in node.notified.values():
        _put(runs, each.runs, each.name)
        _put(failures, each.failures, each.name)
        _put(lost, each.lost, each.name)
    yield from (runs, failures, lost)


def _of_now(run_dir: Path) -> Iterator[Metric]:
    """What the node says at this moment; that it is down when it says nothing."""
    try:
        node = assemble(collect(run_dir), time.time_ns())
    except NoNode:
        yield _one("keepbus_up", "1 when the node's hub answers.", 0)
        return
    yield from families(node)


class _Source(Collector):
    def __init__(self, look: Callable[[], Iterator[Metric]]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        return self._look()


def _registry(look: Callable[[], Iterator[Metric]]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Source(look))
    return registry


def _one(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _gauge(name: str, about: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"keepbus_{name}", about, labels=labels)


def _counter(name: str, about: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"keepbus_{name}", about, labels=labels)


def _put(family: GaugeMetricFamily | CounterMetricFamily, value: float, *labels: str) -> None:
    family.add_metric(labels, float(value))


def _endpoint(text: str) -> tuple[str, int]:
    """ADDRESS:PORT, IPv6 in brackets."""
    address, colon, port = text.rpartition(":")
    if not colon or not address or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no ADDRESS:PORT; write for example 127.0.0.1:9650")
    return address.strip("[]"), int(port)
