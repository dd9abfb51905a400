"""`keepbus status`: what a node is doing, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keepbus.cli import counted, live, screen, tracked
from keepbus.cli.bus import NoNode, collect
from keepbus.cli.gist import exit_words, mood
from keepbus.cli.node import Beat, Node, assemble
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import (
    Paint,
    clean,
    clock,
    colour_wanted,
    columns,
    cut,
    duration,
    plural,
    table,
    wrap,
)
from keepbus.contracts import ipvs, vrrp
from keepbus.contracts.message import Message
from keepbus.contracts.schema import to_plain

ABOUT = "show instances, virtual servers and services, and what is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    add_run_dir(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object")
    form.add_argument("--watch", action="store_true", help="live, until q or Ctrl-C")
    parser.add_argument("-v", "--verbose", action="store_true", help="counters that are 0, too")


def run(options: argparse.Namespace) -> int:
    """0 when all is well (or was watched), 1 when something is not, or there is no node."""
    try:
        if options.watch:
            obstacle = screen.usable()
            if not obstacle:
                return _watch(options.run_dir, verbose=options.verbose)
            print(f"keepbus: {obstacle}, so the status is shown once", file=sys.stderr)
        states = collect(options.run_dir)
    except NoNode as reason:
        print(f"keepbus: {reason}", file=sys.stderr)
        return 1
    node = assemble(states, time.time_ns(), _current_generation(options.run_dir))
    if options.json:
        print(json.dumps(as_json(node), ensure_ascii=False, indent=2))
    else:
        width = columns()
        paint = Paint(colour_wanted(sys.stdout))
        for line in as_text(node, options.run_dir, paint, width, verbose=options.verbose):
            print(cut(line, width))
    return 1 if node.problems() else 0


def _watch(run_dir: Path, *, verbose: bool) -> int:
    """The page for a person, live; raises NoNode."""
    paint = Paint(colour_wanted(sys.stdout))

    def page(states: Mapping[str, Message], width: int) -> list[str]:
        node = assemble(states, time.time_ns(), _current_generation(run_dir))
        first, *rest = as_text(node, run_dir, paint, width, verbose=verbose)
        now = time.strftime("%H:%M:%S", time.localtime(node.now_ns // 1_000_000_000))
        return [f"{first} {paint(f'· {now} · q ends', 'dim')}", *rest]

    live.follow(run_dir, page)
    return 0


def as_json(node: Node) -> dict[str, Any]:
    """The node as plain data: the bodies of the contracts, and ages in nanoseconds."""
    return {
        "node": node.name,
        "at": node.now_ns,
        "generation": node.generation,
        "well": not node.problems(),
        "problems": node.problems(),
        "services": {
            beat.name: {
                "silent": beat.silent,
                "age_ns": beat.age_ns if beat.body else None,
                "heartbeat": to_plain(beat.body) if beat.body else None,
            }
            for beat in node.services
        },
        "instances": {
            instance.name: {
                **to_plain(instance),
                "statistics": to_plain(node.adverts.get(instance.name)),
                "notified": to_plain(node.notified.get(instance.name)),
            }
            for instance in node.instances
        },
        "groups": {group.name: to_plain(group) for group in node.groups},
        "virtual_servers": {server.name: to_plain(server) for server in node.virtual_servers},
        "verdicts": {check: to_plain(verdict) for check, verdict in node.verdicts.items()},
        "certificates": {check: to_plain(body) for check, body in node.certificates.items()},
        "trackers": {tracker: to_plain(body) for tracker, body in node.trackers.items()},
        "table": to_plain(node.table),
        "sync_daemon": to_plain(node.sync_daemon),
        "fifos": {fifo.path: to_plain(fifo) for fifo in node.fifos},
        "mail": to_plain(node.mail),
        "journal": to_plain(node.journal),
    }


def as_text(
    node: Node, run_dir: Path, paint: Paint, width: int | None, *, verbose: bool = False
) -> Iterator[str]:
    """The lines for a person."""
    generation = f"generation {node.generation}" if node.generation else "no configuration"
    where = paint(f"{generation} · {run_dir}", "dim")
    yield f"{paint(clean(node.name), 'bold')} · {where}"
    yield from _instances(node, paint, width, verbose)
    yield from _groups(node, paint, width)
    yield from _virtual_servers(node, paint, width)
    yield ""
    yield paint("services", "bold")
    yield from table([_service(beat, node, paint) for beat in node.services])
    yield ""
    problems = node.problems()
    if not problems:
        yield paint("all is well", "green", "bold")
        return
    yield paint(plural(len(problems), "problem"), "red", "bold")
    for problem in problems:
        for line in wrap(clean(problem), width, first="  ! ", rest="    "):
            yield paint(line, "red")


def _instances(node: Node, paint: Paint, width: int | None, verbose: bool) -> Iterator[str]:
    if not node.instances:
        return
    stale = paint("  (as vrrp said last: it is silent)", "red") if node.silent("vrrp") else ""
    yield ""
    yield paint("instances", "bold") + stale
    for instance in node.instances:
        state = paint(instance.state.value, mood(instance.state.value), "bold")
        since = duration(node.now_ns - instance.since_ns)
        yield (
            f"  {paint(clean(instance.name), 'bold')}  {state} for {since}"
            f"  priority {tracked.priority(instance)}  {clean(instance.interface)}"
            f" vrid {instance.virtual_router_id} v{instance.version}"
        )
        why = f"since {clock(instance.since_ns, node.now_ns)}: {clean(instance.cause)}"
        yield from wrap(why, width, first="    ", rest="      ")
        for fault in instance.faults:
            yield paint(f"    fault: {clean(fault)}", "red")
        if instance.demoted:
            undo = clean(f"keepbus demote --undo {instance.name}")
            yield paint(f"    demoted: stays behind everybody else until `{undo}`", "yellow")
        yield from table(tracked.trackers(instance, node, paint), indent=4)
        yield f"    {_addresses(instance, paint)}"
        for claim in instance.claims:
            who = f"{clean(claim.address)} is claimed by {clean(claim.mac)} on {clean(claim.interface)}"
            since = clock(claim.since_ns, node.now_ns)
            last = duration(node.now_ns - claim.last_ns)
            yield paint(f"    {who}: {plural(claim.times, 'time')} since {since}, {last} ago at last", "red")
        wire = _wire(instance, verbose=verbose)
        if wire:
            yield f"    {wire}"
        for vmac in instance.vmacs:
            yield f"    virtual MAC: {clean(vmac)}"
        for held in (*instance.virtual_routes, *instance.virtual_rules):
            yield f"    {_held(held, instance, paint)}"
        yield f"    {_master(instance, node)}"
        statistics = node.adverts.get(instance.name)
        if statistics is not None:
            for line in (
                *counted.adverts(statistics, verbose=verbose),
                *counted.errors(statistics, paint, verbose=verbose),
            ):
                yield f"    {line}"
        notified = node.notified.get(instance.name)
        if notified is not None and notified.last_command:
            how = paint(exit_words(notified.last_exit), "red" if notified.last_exit else "dim")
            yield f"    {clean(notified.last_command)} {how}"


def _groups(node: Node, paint: Paint, width: int | None) -> Iterator[str]:
    if not node.groups:
        return
    yield ""
    yield paint("sync groups", "bold")
    for group in node.groups:
        state = paint(group.state.value, mood(group.state.value), "bold")
        since = duration(node.now_ns - group.since_ns)
        yield f"  {paint(clean(group.name), 'bold')}  {state} for {since}  {clean(', '.join(group.members))}"
        why = f"since {clock(group.since_ns, node.now_ns)}: {clean(group.cause)}"
        yield from wrap(why, width, first="    ", rest="      ")


def _addresses(instance: vrrp.Instance, paint: Paint) -> str:
    held = paint("held", "green") if instance.holds_addresses else "not held"
    if instance.state is vrrp.VrrpState.MASTER and not instance.holds_addresses:
        held = paint("NOT HELD", "red", "bold")
    kind = f" by {clean(instance.lease_kind)}" if instance.lease_kind else ""
    lease = f" (lease {duration(instance.lease_us * 1000)}{kind})" if instance.lease_us else " (no lease)"
    return f"{clean(' '.join(instance.virtual_addresses)) or 'no addresses'}: {held}{lease}"


_FORMS = {"message": "of the message alone (RFC 9568)", "pseudo": "with a pseudo-header (RFC 5798)"}


def _wire(instance: vrrp.Instance, *, verbose: bool) -> str:
    """Where adverts go and how they are summed up, if that is not as everywhere."""
    words = []
    if instance.unicast_peers:
        words.append(f"unicast to {clean(', '.join(instance.unicast_peers))}")
    form = instance.checksum_form
    if form and (verbose or form != "pseudo"):
        words.append(f"checksums {_FORMS.get(form, clean(form))}")
    return ", ".join(words)


def _held(name: str, instance: vrrp.Instance, paint: Paint) -> str:
    refused = next((each for each in instance.refused if each.startswith(f"{name}: ")), "")
    if refused:
        return paint(f"{clean(refused)}", "red")
    return clean(name) + ("" if instance.holds_addresses else ": not held")


def _master(instance: vrrp.Instance, node: Node) -> str:
    statistics = node.adverts.get(instance.name)
    heard = ""
    if statistics is not None and statistics.last_advert_ns:
        heard = f", last advert of another {duration(node.now_ns - statistics.last_advert_ns)} ago"
        if instance.state is vrrp.VrrpState.BACKUP:
            # Adverts come while counters are told every few seconds only.
            counted_ns = node.counted_ns[instance.name]
            age = duration(max(0, counted_ns - statistics.last_advert_ns))
            heard = f", its last advert {age} old when counted {duration(node.now_ns - counted_ns)} ago"
    if not instance.master_address:
        return f"master unknown{heard}"
    who = "this node" if instance.state is vrrp.VrrpState.MASTER else f"priority {instance.master_priority}"
    return f"master {clean(instance.master_address)} ({who}){heard}"


def _virtual_servers(node: Node, paint: Paint, width: int | None) -> Iterator[str]:
    if not node.virtual_servers:
        return
    driver = paint(f"  ({clean(node.table.driver)})", "dim") if node.table else ""
    stale = paint("  (as ipvs said last: it is silent)", "red") if node.silent("ipvs") else ""
    yield ""
    yield paint("virtual servers", "bold") + driver + stale
    yield from _sync_daemon(node, paint)
    for server in node.virtual_servers:
        up = paint("up", "green", "bold") if server.quorum_up else paint("DOWN", "red", "bold")
        persistence = f" persistent {server.persistence_timeout_s} s" if server.persistence_timeout_s else ""
        yield (
            f"  {paint(clean(server.address), 'bold')} "
            f"{clean(f'{server.protocol} {server.scheduler} {server.forwarding}')}{persistence}"
            f"  {up}  weight {server.weight_up}, quorum {server.quorum}"
        )
        if server.error:
            yield paint(f"    {clean(server.error)}", "red")
        yield from table((_real_server(real, node, paint) for real in server.real_servers), indent=4)
        if server.sorry_server:
            active = paint("answers now", "yellow", "bold") if server.sorry_server_active else "stands by"
            yield f"    sorry server {clean(server.sorry_server)} {active}"


def _sync_daemon(node: Node, paint: Paint) -> Iterator[str]:
    daemon = node.sync_daemon
    if daemon is None:
        return
    follows = f" with {daemon.instance}" if daemon.instance else ""
    running = daemon.running or paint("not running", "red")
    where = clean(f"{daemon.interface} id {daemon.sync_id}")
    yield f"  connections synchronized on {where}: {running}{clean(follows)}"
    if daemon.error:
        yield paint(f"    {clean(daemon.error)}", "red")


def _real_server(real: ipvs.RealServer, node: Node, paint: Paint) -> list[str]:
    verdict = paint(real.verdict.value, mood(real.verdict.value), "bold")
    if real.drained:
        verdict += paint(" drained", "yellow")
    weight = f"weight {real.weight}"
    if real.weight != real.configured_weight:
        weight += f" of {real.configured_weight}"
    if not real.in_table:
        weight = "not in table"
    age = duration(node.now_ns - real.since_ns) if real.since_ns else ""
    return [clean(real.address), verdict, weight + _connections(real), age, paint(clean(real.reason), "dim")]


def _connections(real: ipvs.RealServer) -> str:
    if not real.total_connections:
        return ""
    if not real.active_connections and not real.inactive_connections:
        return f", {real.total_connections} connections"
    active, inactive = real.active_connections, real.inactive_connections
    return f", {active} active and {inactive} inactive of {real.total_connections} connections"


def _service(beat: Beat, node: Node, paint: Paint) -> list[str]:
    body = beat.body
    if body is None:
        return [beat.name, paint("MISSING", "red", "bold"), "", "", "", "never heard"]
    status = paint(body.status.value, mood(body.status.value))
    heard = f"heard {duration(beat.age_ns)} ago"
    if beat.silent:
        status, heard = paint("SILENT", "red", "bold"), paint(heard, "red")
    generation = f"gen {body.generation}" if body.generation else ""
    up = f"up {duration(node.now_ns - body.started_ns)}"
    losses = f" [lost {body.lost}, unsent {body.unsent}]" if body.lost or body.unsent else ""
    detail = paint(clean(body.detail), "dim") + paint(losses, "yellow")
    return [clean(beat.name), status, f"pid {body.pid}", generation, up, heard, detail]


def _current_generation(run_dir: Path) -> int:
    """The number of the compiled configuration, 0 when there is none to be seen. The same as
    keepbus.runtime.generation tells, which is dear to import because it knows the whole model."""
    try:
        return int((run_dir / "config" / "current").readlink().name)
    except (OSError, ValueError):
        return 0
