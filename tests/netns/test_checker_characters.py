"""Every kind of check against a server of every character, all at once, by a real checker (R-F78 to R-F80).

What is told of each; that all of them together make checker grow by less than one of them sends; and that
nobody holds up the checks of good servers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from checker_cases import CHARACTERS, FOLLOWED, TIMEOUT_US, UNKNOWN, UP, Made, table
from checker_node import Node
from checker_servers import check, page

from keepbus.bus.client import Speaker, speak_address
from keepbus.bus.codec import encode_header
from keepbus.config.model.checker import Check, CheckKind, DnsQuestion, UdpExchange
from keepbus.contracts.bfd import Session
from keepbus.contracts.checker import CheckVerdict
from keepbus.contracts.message import Header
from keepbus.runtime.lock import Lock

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "openssl"))),
    reason="needs root, unshare and openssl: no check met a server that means harm",
)
CASES = [(kind, name) for kind, cases in table(Path()).items() for name in cases]
FRIENDS_DELAY_US = 100_000
SECONDS = 45.0
MOST_GROWN_KIB = 8 * 1024
ASKED: dict[CheckKind, Made] = {
    CheckKind.HTTP_GET: {"urls": (page("/"),)},
    CheckKind.SSL_GET: {"urls": (page("/"),)},
    CheckKind.DNS_CHECK: {"dns": DnsQuestion()},
    CheckKind.UDP_CHECK: {
        "udp": UdpExchange(require_reply=True, reply_pattern="01", min_reply_length=1, max_reply_length=255)
    },
}


def made(kind: CheckKind, name: str, server: Made, delay_loop_us: int) -> Check:
    """The check of this server."""
    timing = {"connect_timeout_us": TIMEOUT_US, "delay_loop_us": delay_loop_us, "urls": ()}
    return check(kind, name=f"{kind.value}: {name}", **(timing | ASKED.get(kind, {}) | server))


def verdicts(node: Node) -> dict[str, list[CheckVerdict]]:
    """All that was told of each check that a probe has measured."""
    told: dict[str, list[CheckVerdict]] = {}
    for verdict in node.bodies("verdict"):
        if verdict is not None and verdict.probes:
            told.setdefault(verdict.check, []).append(verdict)
    return told


@contextmanager
def sessions_told(node: Node) -> Iterator[None]:
    """What the program that speaks BFD says, and what it should not."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    speaker = Speaker(context, node.run_dir, node="node", source="bfd", boot="1")
    for name, up in (("good", True), ("refusing", False), ("slow", True), ("half-closing", True)):
        speaker.publish(Session(name=name, up=up, since_ns=1))
    speaker.withdraw("state/bfd/session/half-closing")
    rude = [context.socket(zmq.PUSH) for _ in range(2)]
    for socket, topic, octets in zip(
        rude, ("garbage", "10%20MB"), (b"\xc1\xff", bytes(10_000_000)), strict=True
    ):
        socket.connect(f"ipc://{speak_address(node.run_dir)}")
        header = encode_header(Header(1, "node", "bfd", "1", 9, 1, 1, 1, ""))
        socket.send_multipart([f"state/bfd/session/{topic}".encode(), header, octets])
    yield
    speaker.close()
    for socket in rude:
        socket.close(0)
    context.term()


def in_a_namespace(folder: Path) -> dict[str, Any]:
    """What the tests are about, alone in a network namespace: what was found."""
    for words in ("link set lo up", "route add unreachable 203.0.113.0/24"):
        subprocess.run(["ip", *words.split()], check=True)
    settings = Path("/proc/sys/net/ipv4")
    (settings / "icmp_echo_ignore_all").write_text("1", encoding="ascii")
    (settings / "ping_group_range").write_text("0 2147483647", encoding="ascii")
    cases = table(folder)
    probed = {kind: named for kind, named in cases.items() if kind not in FOLLOWED}
    friends = [
        made(kind, "a friend", named["good"].make(), FRIENDS_DELAY_US) for kind, named in probed.items()
    ]
    names = {one.id for one in friends}
    with closing(Node(folder / "run")) as node:
        assert Lock(node.run_dir, "bfd").take(), "who owns it may tell sessions"
        node.start(friends)
        node.wait(lambda: verdicts(node).keys() == names)
        node.listen(seconds=1)
        at_first = verdicts(node)
        Path(f"/proc/{node.checker.pid}/clear_refs").write_text("5", encoding="ascii")
        before_kib = node.memory_kib()
        node.messages.clear()
        others = {
            (kind, name): made(kind, name, case.make(), 60_000_000)
            for kind, named in cases.items()
            for name, case in named.items()
        }
        decided = {one.id for (kind, name), one in others.items() if cases[kind][name].verdict is not UNKNOWN}
        with sessions_told(node):
            node.reload([*friends, *others.values()])
            node.wait(lambda: verdicts(node).keys() >= decided | names, seconds=SECONDS)
            node.listen(seconds=3)  # friends are told every 5 s
        told = verdicts(node)
        return {
            "told": [
                (kind, name, *summary(told.get(one.id, [])[-1:])) for (kind, name), one in others.items()
            ],
            "friends": {
                name: {
                    "summary": summary(told[name][-1:]),
                    "changes": told[name][-1].changes,
                    "failures": told[name][-1].failures,
                    "probes_a_second": rate(at_first[name][-1], told[name][-1]),
                }
                for name in names
            },
            "grown_kib": node.memory_kib() - before_kib,
            "local_errors": node.bodies("statistics")[-1].local_errors,
        }


def rate(first: CheckVerdict, last: CheckVerdict) -> float:
    """Probes a second between the two."""
    assert first.evidence is not None
    assert last.evidence is not None
    return (last.probes - first.probes) * 1e9 / (last.evidence.at_ns - first.evidence.at_ns)


def summary(told: list[CheckVerdict]) -> tuple[str, str]:
    """Verdict and evidence."""
    if not told:
        return UNKNOWN, ""
    return told[0].verdict.value, told[0].evidence.received if told[0].evidence else ""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("characters")
    result = subprocess.run(
        ["unshare", "-n", sys.executable, __file__, str(folder)],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_is_told(found: dict[str, Any], kind: CheckKind, name: str) -> None:
    case = table(Path())[kind][name]
    ((verdict, received),) = (told for k, n, *told in found["told"] if (k, n) == (kind, name))
    assert verdict == case.verdict
    assert received.startswith(case.received)


def test_every_kind_meets_every_character() -> None:
    cases = table(Path())
    assert cases.keys() == set(CheckKind) - {CheckKind.PLUGIN}, "its own are in test_checker_plugin"
    for kind, named in cases.items():
        assert set(CHARACTERS) <= named.keys(), kind


def test_what_this_host_could_not_read_is_no_verdict_and_told(found: dict[str, Any]) -> None:
    (error,) = found["local_errors"]
    assert error.endswith("/file cannot be read: Is a directory")


def test_all_together_make_checker_grow_by_less_than_one_of_them_sends(found: dict[str, Any]) -> None:
    senders = [name for _kind, name in CASES if "MB" in name or "end" in name]
    assert len(senders) > MOST_GROWN_KIB / 1024, "less than a mebibyte a probe, too"
    assert found["grown_kib"] < MOST_GROWN_KIB


def test_nobody_holds_up_the_checks_of_good_servers(found: dict[str, Any]) -> None:
    for name, friend in found["friends"].items():
        assert (friend["summary"][0], friend["changes"], friend["failures"]) == (UP, 1, 0), name
        assert friend["probes_a_second"] > 0.5e6 / FRIENDS_DELAY_US, name


if __name__ == "__main__":
    print(json.dumps(in_a_namespace(Path(sys.argv[1]))))
