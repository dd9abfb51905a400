"""Our octets for a route or rule, and what `ip` makes of the same words, in one kernel."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ipvs_wire import inside
from keepbus_vrrp import route_codec, rule_codec
from keepbus_vrrp.netlink import Answer, batch, parse
from routes_table import ENCAPSULATIONS, ROUTES, RULES

from keepbus.config.build_routes import read_routes
from keepbus.config.build_rules import RuleReader
from keepbus.config.diagnostics import Findings
from keepbus.config.model.routes import Route, Rule
from keepbus.config.reader import TableReader
from keepbus.config.source import Source
from keepbus.config.syntax import Statement
from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())


class Host:
    """A namespace with eth0 and eth1, and a netlink socket in it."""

    def __init__(self, spaces: Namespaces) -> None:
        self._spaces = spaces
        self.name = spaces.add("codec")
        for line in (
            "link add eth0 type veth peer name peer0",
            "link add eth1 type veth peer name peer1",
            *(f"link set {name} up" for name in ("eth0", "peer0", "eth1", "peer1")),
            "addr add 10.9.0.1/24 dev eth0",
            "addr add 10.8.0.1/24 dev eth1",
            "addr add 2001:db8::1/64 dev eth0 nodad",
            "rule add preference 900 nop",
        ):
            self.ip(*line.split())
        self.socket = inside(self.name, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        links = json.loads(self.ip("-j", "link"))
        self._indices = {link["ifname"]: int(link["ifindex"]) for link in links}

    def ip(self, *words: str) -> str:
        return self._spaces.run(self.name, "ip", *words)

    def index_of(self, name: str) -> int:
        return self._indices[name]

    def ask(self, request: bytes) -> int:
        """The errno of a request."""
        self.socket.send(batch([request], 1))
        (answer,) = [each for each in parse(self.socket.recv(65536)) if isinstance(each, Answer)]
        return answer.errno

    def clean(self) -> None:
        """What a failed test left, that the next one does not fail with it."""
        for family in ("-4", "-6"):
            for protocol in ("keepalived", "static", "77"):
                self.ip(family, "route", "flush", "table", "all", "proto", protocol)
            for left in json.loads(self.ip("-j", family, "rule") or "[]"):
                if left["priority"] in (500, 501):
                    self.ip(family, "rule", "del", "preference", str(left["priority"]))

    def shown(self, what: str) -> list[Any]:
        """All routes or rules that the kernel did not make."""
        found = []
        for family in ("-4", "-6"):
            options = ["table", "all"] if what == "route" else []
            listed = json.loads(self.ip("-d", "-j", "-N", family, what, "show", *options) or "[]")
            for each in listed:
                each.pop("expires", None)  # counts down
                if each.get("protocol") not in ("2", "9") and each.get("priority") != 900:
                    found.append(each)
        return found


@pytest.fixture(scope="module")
def made() -> Iterator[Host]:
    with Namespaces("codec") as spaces:
        host = Host(spaces)
        yield host
        host.socket.close()


@pytest.fixture
def host(made: Host) -> Iterator[Host]:
    yield made
    made.clean()


def statement(line: str) -> tuple[TableReader, Statement]:
    findings = Findings(permissive=False)
    return TableReader(findings), Statement(line.split(), Source("x", [line], len(line)), 1, 0)


def route_of(line: str) -> Route:
    tables, parsed = statement(line)
    (found,) = read_routes(tables, [parsed])
    return found.route


def rule_of(line: str) -> Rule:
    tables, parsed = statement(line)
    (found,) = RuleReader(tables).read([parsed])
    return found.rule


@pytest.mark.parametrize(("words", "ip_words"), ROUTES, ids=[line for line, _ in ROUTES])
def test_route(host: Host, words: str, ip_words: str | None) -> None:
    route = route_of(words)
    options = ["-6"] if route.family == 6 else []
    text = ip_words or words
    if route.family == 4 and not {"scope", "local"} & set(text.split()):
        text = f"scope global {text}"
    if "proto" not in text:
        text = f"proto keepalived {text}"
    try:
        host.ip(*options, "route", "add", *text.split())
    except subprocess.CalledProcessError:
        # A kernel without this encapsulation takes it from nobody: ip's octets are known all the same.
        request = route_codec.install(route, host.index_of)
        assert host.ask(request) == errno.EOPNOTSUPP
        assert bytes.fromhex(ENCAPSULATIONS[words]) in request
        return
    expected = host.shown("route")
    host.ip(*options, "route", "del", *text.split())
    assert expected
    assert host.shown("route") == []
    assert host.ask(route_codec.install(route, host.index_of)) == 0
    assert host.shown("route") == expected
    assert host.ask(route_codec.remove(route, host.index_of)) == 0
    assert host.shown("route") == []
    assert host.ask(route_codec.remove(route, host.index_of)) in (errno.ESRCH, errno.ENOENT)


@pytest.mark.parametrize(("words", "ip_words"), RULES, ids=[line for line, _ in RULES])
def test_rule(host: Host, words: str, ip_words: str | None) -> None:
    rule = rule_of(words)
    options = ["-6"] if rule.family == 6 else []
    text = ip_words or words
    if "protocol" not in text:
        text += " protocol keepalived"
    try:
        host.ip(*options, "rule", "add", *text.split())
    except subprocess.CalledProcessError as refused:
        number = host.ask(rule_codec.install(rule))
        assert number, "the kernel takes ours and not that of ip"
        pytest.skip(
            f"this kernel takes it from nobody: ip says {refused.stderr.strip()}, {os.strerror(number)}"
        )
    expected = host.shown("rule")
    host.ip(*options, "rule", "del", *text.split())
    assert expected != host.shown("rule")
    assert host.ask(rule_codec.install(rule)) == 0
    assert host.shown("rule") == expected
    assert host.ask(rule_codec.install(rule)) == errno.EEXIST
    assert host.ask(rule_codec.remove(rule)) == 0
    assert host.ask(rule_codec.remove(rule)) == errno.ENOENT
