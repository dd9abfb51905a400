"""What happened to a real or a virtual server, put together from the journal and the live state. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keepbus.cli.journal import Entry
from keepbus.contracts import checker, ipvs, notify
from keepbus.contracts.message import Body

TOPICS = (
    "state/ipvs/virtual_server/",
    "state/checker/verdict/",
    "event/ipvs/",
    "event/checker/",
    "event/notify/",
)
"""Prefixes of the topics that the story is made of."""

_MARKS = ("fwmark ", "FWM ", "group ")
_ENDPOINT = re.compile(r"\[?([0-9A-Za-z.:%]+?)\]?(?::(?:(?:tcp|udp|sctp):)?\d+)?")


@dataclass(slots=True)
class Chapter:
    """Something that happened by itself, and what it led to."""

    head: Entry
    followed: list[Entry] = field(default_factory=list)
    """In the order of time."""


@dataclass(slots=True)
class Story:
    """The chapters of what was asked for, oldest first."""

    asked: str
    virtual_servers: list[ipvs.VirtualServer] = field(default_factory=list)
    """Those that it names, as they are on the bus or were last."""
    uses: list[tuple[ipvs.VirtualServer, ipvs.RealServer]] = field(default_factory=list)
    """The real servers that it names, each with its virtual server."""
    chapters: list[Chapter] = field(default_factory=list)


def names_a_server(text: str) -> bool:
    """True for what can only be a virtual or a real server: an address with or without a port,
    [ADDRESS]:PORT, [ADDRESS]:PROTOCOL:PORT, [GROUP]:NUMBER, `fwmark MARK`, `FWM MARK`, `group NAME`."""
    if text.startswith((*_MARKS, "[")):
        return True
    found = _ENDPOINT.fullmatch(text)
    return _is_address(text) or (found is not None and _is_address(found.group(1)))


def tell(asked: str, entries: Iterable[Entry], live: Mapping[str, ipvs.VirtualServer]) -> Story:
    """The story; live are the virtual servers on the bus by name, empty when the node does not run.

    What was caused by something else is told with it: a verdict, then what became of the table by it. A check
    belongs to a server whose state names it, now or at any time before.
    """
    told = list(entries)
    known = dict(live)
    concerned: set[str] = set()
    for body in (entry.body for entry in told):
        if isinstance(body, ipvs.VirtualServer):
            concerned |= _checks(asked, body)
            if body.name not in live:
                known[body.name] = body
    story = Story(asked)
    for server in known.values():
        concerned |= _checks(asked, server)
        if _names_virtual(asked, server):
            story.virtual_servers.append(server)
        story.uses += [(server, each) for each in server.real_servers if _fits(asked, each.address)]
    own = {server.name for server in story.virtual_servers}
    beside = {server.name for server, _use in story.uses}
    by_id: dict[str, Chapter] = {}
    for entry in sorted(told, key=lambda entry: entry.at_ns):
        if not _concerns(asked, entry.body, own, beside, concerned):
            continue
        chapter = by_id.get(entry.cause)
        if chapter is None:
            chapter = Chapter(entry)
            story.chapters.append(chapter)
        else:
            chapter.followed.append(entry)
        by_id[entry.id] = chapter
    # A verdict that is told again and changed nothing is no news.
    story.chapters = [
        chapter
        for chapter in story.chapters
        if chapter.followed or not isinstance(chapter.head.body, checker.CheckVerdict)
    ]
    return story


def _concerns(asked: str, body: Body, own: set[str], beside: set[str], checks: set[str]) -> bool:
    """own: virtual servers that were asked for; beside: those of the real server that was."""
    if isinstance(body, checker.CheckVerdict | checker.ProbeFailed):
        return body.check in checks
    if isinstance(body, ipvs.RealServerChanged):
        return body.virtual_server in own or _fits(asked, body.real_server)
    if isinstance(body, ipvs.QuorumChanged):
        return body.virtual_server in own | beside
    if isinstance(body, ipvs.DrainChanged):
        return _fits(asked, body.real_server) or not own.isdisjoint(body.virtual_servers)
    if isinstance(body, ipvs.Changed):
        return body.virtual_server in own or _in_command(asked, body.what)
    if isinstance(body, ipvs.Drift):
        told = f"{body.found}; {body.repaired}"
        return body.virtual_server in own or (body.virtual_server in beside and _in_command(asked, told))
    if isinstance(body, notify.ScriptRun):
        kind, _, rest = body.name.partition(" ")
        return (kind == "VS" and rest in own | beside) or (
            kind == "RS" and (rest.partition(" ")[2] in own or _in_command(asked, f"-r {rest}"))
        )
    return False


def _checks(asked: str, server: ipvs.VirtualServer) -> set[str]:
    whole = _names_virtual(asked, server)
    return {
        check for each in server.real_servers if whole or _fits(asked, each.address) for check in each.checks
    }


def _names_virtual(asked: str, server: ipvs.VirtualServer) -> bool:
    return asked == server.name or _fits(asked, server.address)


def _fits(asked: str, endpoint: str) -> bool:
    """True for the same address and port, or for the address alone."""
    if asked == endpoint:
        return True
    address, colon, port = endpoint.rpartition(":")
    return bool(colon) and port.isdecimal() and asked.strip("[]") == address.strip("[]")


def _in_command(asked: str, words: str) -> bool:
    """True when one of ipvsadm's commands in it is about this real server."""
    return any(_fits(asked, endpoint) for endpoint in re.findall(r"-r (\S+)", words))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
