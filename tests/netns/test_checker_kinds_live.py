"""SMTP, DNS, UDP, PING, MISC and FILE checks against real servers, files and scripts on this host."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checker_peers import UdpServer, dns_answer, smtp
from checker_servers import Checker, Server, check

from keepbus.config.model.checker import Check, CheckKind, DnsQuestion, MiscCommand, TrackedFile, UdpExchange
from keepbus.config.model.scripts import Script
from keepbus.contracts.checker import Verdict

UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN
QUICK_US = 400_000
RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nothing was tried in a namespace")


@pytest.fixture
def made() -> Iterator[Callable[[Any], Any]]:
    """Takes what is to be closed after the test."""
    everything: list[Any] = []

    def take(one: Any) -> Any:
        everything.append(one)
        return one

    yield take
    for one in everything:
        one.close()


def verdict_of(one: Check, seconds: float = 6) -> tuple[Verdict, str]:
    checker = Checker([one]).run(seconds=seconds, until=lambda checker: checker.decided(one.id))
    return checker.last(one.id).verdict, checker.received(one.id)


def exchange(kind: CheckKind, port: int, **settings: Any) -> Check:
    return check(kind, port, urls=(), connect_timeout_us=QUICK_US, **settings)


class TestSmtp:
    GOOD = (b"220 here ESMTP\r\n", b"250 hello\r\n", b"221 bye\r\n")

    def ask(self, made: Callable[[Any], Any], *talk: bytes | float, **settings: Any) -> tuple[Verdict, str]:
        server = made(Server(smtp(*talk), reads=False))
        return verdict_of(exchange(CheckKind.SMTP_CHECK, server.port, **settings))

    def test_a_good_server(self, made: Callable[[Any], Any]) -> None:
        assert self.ask(made, *self.GOOD) == (UP, "221 bye")

    def test_replies_in_pieces_but_in_time(self, made: Callable[[Any], Any]) -> None:
        assert self.ask(made, b"22", 0.1, b"0 he", 0.1, b"re\r", 0.05, b"\n", *self.GOOD[1:]) == (
            UP,
            "221 bye",
        )

    @pytest.mark.parametrize(
        ("talk", "received"),
        [
            ((b"554 go away\r\n",), "greeting: 554 go away"),
            ((b"220-two\r\n220 lines\r\n",), "greeting: 220-two"),
            ((GOOD[0], b"451 later\r\n"), "HELO: 451 later"),
            ((b"220 he",), "connection closed before the greeting"),
            ((GOOD[0], b"25"), "connection closed before the reply to HELO"),
            ((b"x" * 100_000,), "greeting: reply longer than 512 octets"),
            ((1.0, *GOOD), "no answer within 0.4 s"),
            (
                tuple(piece for octet in GOOD[0][:-2] for piece in (bytes((octet,)), 0.1)),
                "no answer within 0.4 s",
            ),
        ],
    )
    def test_bad_servers(
        self, made: Callable[[Any], Any], talk: tuple[bytes | float, ...], received: str
    ) -> None:
        assert self.ask(made, *talk) == (DOWN, received)

    def test_a_closed_port(self) -> None:
        assert verdict_of(exchange(CheckKind.SMTP_CHECK, closed_port())) == (DOWN, "connection refused")


class TestDns:
    def ask(self, made: Callable[[Any], Any], answers: Callable[[bytes], Any]) -> tuple[Verdict, str]:
        server = made(UdpServer(answers))
        question = DnsQuestion(type="A", name="example.org")
        return verdict_of(exchange(CheckKind.DNS_CHECK, server.port, dns=question))

    def test_a_good_server(self, made: Callable[[Any], Any]) -> None:
        assert self.ask(made, lambda q: [dns_answer(q, tail=RECORD)]) == (UP, "NOERROR, 1 answer")

    def test_other_ids_and_scraps_are_passed_over(self, made: Callable[[Any], Any]) -> None:
        def answers(question: bytes) -> list[bytes]:
            other = int.from_bytes(question[:2], "big") ^ 0x5555
            return [b"", b"x", dns_answer(question, identity=other, flags=0x8183), dns_answer(question)]

        assert self.ask(made, answers) == (UP, "NOERROR, 0 answers")

    @pytest.mark.parametrize(
        ("answers", "received"),
        [
            (lambda q: [dns_answer(q, flags=0x8182)], "SERVFAIL"),
            (lambda q: [dns_answer(q, flags=0x8183)], "NXDOMAIN"),
            (lambda q: [q], "the query came back instead of an answer"),
            (lambda q: [dns_answer(q, tail=b"\xc0\x1d" + RECORD[2:])], "malformed answer: a name is broken"),
            (
                lambda q: [dns_answer(q, tail=RECORD[:-2])],
                "malformed answer: a record is longer than the answer",
            ),
            (lambda q: [dns_answer(q) + bytes(20_000)], "answer longer than 4096 octets"),
            (
                lambda q: [dns_answer(q, identity=int.from_bytes(q[:2], "big") ^ 1)] * 50,
                "no answer within 0.4 s",
            ),
            (lambda q: [], "no answer within 0.4 s"),
        ],
    )
    def test_r_f79_bad_answers(
        self, made: Callable[[Any], Any], answers: Callable[[bytes], Any], received: str
    ) -> None:
        assert self.ask(made, answers) == (DOWN, received)

    def test_nobody_there(self) -> None:
        one = exchange(CheckKind.DNS_CHECK, closed_udp_port(), dns=DnsQuestion())
        assert verdict_of(one) == (DOWN, "connection refused")

    def test_ids_differ_from_query_to_query(self, made: Callable[[Any], Any]) -> None:
        server = made(UdpServer(lambda q: [dns_answer(q)]))
        one = exchange(CheckKind.DNS_CHECK, server.port, dns=DnsQuestion(), delay_loop_us=20_000)
        Checker([one]).run(seconds=8, until=lambda _: len(server.requests) > 8)
        assert len({request[:2] for request in server.requests}) > 4


class TestUdp:
    def test_silence_is_success_without_require_reply(self, made: Callable[[Any], Any]) -> None:
        server = made(UdpServer(lambda request: []))
        one = exchange(CheckKind.UDP_CHECK, server.port, udp=UdpExchange(payload="ab120f"))
        assert verdict_of(one) == (UP, "no error within 0.4 s")
        assert server.requests[0] == b"\xab\x12\x0f"

    def test_a_closed_port_is_an_icmp_error(self) -> None:
        one = exchange(CheckKind.UDP_CHECK, closed_udp_port(), udp=UdpExchange())
        assert verdict_of(one) == (DOWN, "connection refused")

    @pytest.mark.parametrize(
        ("reply", "judgement"),
        [
            (b"\x01\x7f\x03", (UP, "3 octets")),
            (b"\x01\x7e\x03", (DOWN, "3 octets, but octet 2 is 7e")),
            (b"\x01", (DOWN, "1 octets, but 2 to 255 are wanted")),
            (b"\x01\x7f" + bytes(60_000), (DOWN, "60002 octets, but 2 to 255 are wanted")),
            (None, (DOWN, "no answer within 0.4 s")),
        ],
    )
    def test_require_reply(
        self, made: Callable[[Any], Any], reply: bytes | None, judgement: tuple[Verdict, str]
    ) -> None:
        server = made(UdpServer(lambda request: [] if reply is None else [reply]))
        wanted = UdpExchange(require_reply=True, reply_pattern="01xf", min_reply_length=2)
        assert verdict_of(exchange(CheckKind.UDP_CHECK, server.port, udp=wanted)) == judgement

    def test_over_ipv6_from_an_address_of_our_own(self, made: Callable[[Any], Any]) -> None:
        server = made(UdpServer(lambda request: [request], address="::1"))
        one = exchange(
            CheckKind.UDP_CHECK,
            server.port,
            address="::1",
            bind_address="::1",
            udp=UdpExchange(require_reply=True),
        )
        assert verdict_of(one) == (UP, "32 octets")


class TestPing:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_loopback(self, address: str) -> None:
        one = exchange(CheckKind.PING_CHECK, 0, address=address)
        assert verdict_of(one) == (UP, "echo reply, 128 octets")

    @needs_root
    def test_in_a_namespace(self) -> None:
        """Unreachable at once, unreachable by ARP, silent, and forbidden: each with its own words."""
        result = subprocess.run(
            ["unshare", "-n", sys.executable, __file__],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines() == [
            "unknown the kernel's net.ipv4.ping_group_range (1 0) lets no group of this process ping; "
            'widen it with `sysctl net.ipv4.ping_group_range="0 2147483647"`',
            "down network is unreachable",
            "down no route to host",
            "down no answer within 0.4 s",
            "down no route to host",
            "up echo reply, 128 octets",
        ]


class TestMisc:
    @pytest.fixture
    def script(self, tmp_path: Path) -> Callable[[str], Path]:
        def write(text: str) -> Path:
            path = tmp_path / "check"
            path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            path.chmod(0o755)
            return path

        return write

    def check(self, path: Path, *arguments: str, timeout_us: int = 2_000_000, dynamic: bool = False) -> Check:
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        command = MiscCommand(
            script=Script(argv=(str(path), *arguments), user=user), timeout_us=timeout_us, dynamic=dynamic
        )
        return check(CheckKind.MISC_CHECK, 0, name="misc", urls=(), address="", misc=command)

    @pytest.mark.parametrize(
        ("text", "dynamic", "verdict", "received", "weight"),
        [
            ("exit 0", False, UP, "exit status 0", None),
            ("echo fine; exit 1", False, DOWN, "exit status 1: fine", None),
            ("echo one; echo two >&2; exit 12", True, UP, "exit status 12, weight 10: two", 10),
            ("exit 12", False, DOWN, "exit status 12", None),
            ("kill -9 $$", True, DOWN, "ended by SIGKILL", None),
        ],
    )
    def test_exit_statuses_and_output(
        self, script: Callable[[str], Path], text: str, dynamic: bool, verdict: Verdict, received: str,
        weight: int | None,
    ) -> None:  # fmt: skip
        one = self.check(script(text), dynamic=dynamic)
        checker = Checker([one]).run(seconds=6, until=lambda checker: checker.decided("misc"))
        told = checker.last("misc")
        assert (told.verdict, checker.received("misc"), told.weight) == (verdict, received, weight)

    def test_arguments_and_surroundings(self, script: Callable[[str], Path], tmp_path: Path) -> None:
        path = script('echo "$2" "$(pwd)" "$(cat)" "$(ps -o pgid= $$ | tr -d " ")" $$')
        checker = Checker([self.check(path, "a", "two words")])
        checker.run(seconds=6, until=lambda checker: checker.decided("misc"))
        *words, group, pid = checker.received("misc").split()
        assert words == ["exit", "status", "0:", "two", "words", "/"]
        assert group == pid, "it leads a process group of its own"

    def test_r_f80_a_script_that_ignores_term_goes_with_its_children(
        self, script: Callable[[str], Path], tmp_path: Path
    ) -> None:
        path = script(f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; wait; wait; sleep 60")
        checker = Checker([self.check(path, timeout_us=500_000)])
        started = time.monotonic()
        checker.run(seconds=8, until=lambda checker: checker.decided("misc"))
        assert checker.received("misc") == "not ended within 0.5 s"
        assert time.monotonic() - started < 2.4, "counted when its time was over"
        child = int((tmp_path / "child").read_text(encoding="ascii"))
        checker.run(seconds=5, until=lambda _: not is_alive(child))
        assert not is_alive(child)

    def test_r_f80_a_gigabyte_of_output_is_not_kept(self, script: Callable[[str], Path]) -> None:
        path = script("head -c 1000000000 /dev/zero; echo; echo end")
        before = resident_kib()
        checker = Checker([self.check(path, timeout_us=20_000_000)])
        checker.run(seconds=25, until=lambda checker: checker.decided("misc"))
        assert checker.last("misc").verdict is UP
        assert len(checker.received("misc")) < 1000
        assert resident_kib() - before < 8 * 1024

    def test_what_it_leaves_in_the_background_does_not_keep_the_checker_busy(
        self, script: Callable[[str], Path]
    ) -> None:
        """The pipe is closed with the script's end, so that `yes` dies of it."""
        path = script("(sleep 0.2; exec yes) & echo $!; exit 0")
        checker = Checker([self.check(path)]).run(seconds=6, until=lambda checker: checker.decided("misc"))
        assert checker.last("misc").verdict is UP
        left = int(checker.received("misc").split()[-1])
        checker.run(seconds=5, until=lambda _: not is_alive(left))
        assert not is_alive(left)

    def test_a_script_that_is_not_there_is_no_failure_of_the_server(self, tmp_path: Path) -> None:
        checker = Checker([self.check(tmp_path / "none")]).run(seconds=3)
        assert checker.last("misc").verdict is UNKNOWN
        assert f"{tmp_path}/none cannot be run: No such file or directory" in str(checker.effects)


class TestFile:
    def test_values_reach_the_verdict_as_they_change(self, tmp_path: Path) -> None:
        path = tmp_path / "weight"
        tracked = TrackedFile(name="weight", path=str(path), weight=2, init_value=3)
        one = check(CheckKind.FILE_CHECK, 0, name="file", urls=(), address="", file=tracked)
        checker = Checker([one]).run(seconds=5, until=lambda checker: "file" in checker.verdicts)
        assert path.read_text(encoding="ascii") == "3\n"
        assert checker.last("file").weight_added == 6
        path.write_text("-10 as of now\n", encoding="ascii")
        checker.run(seconds=5, until=lambda checker: checker.last("file").weight_added != 6)
        assert (checker.last("file").verdict, checker.last("file").weight_added) == (UP, -20)
        assert checker.received("file") == "value -10"

    def test_weight_0_is_up_or_down(self, tmp_path: Path) -> None:
        path = tmp_path / "broken"
        tracked = TrackedFile(name="broken", path=str(path), weight=0)
        one = check(CheckKind.FILE_CHECK, 0, name="file", urls=(), address="", file=tracked)
        checker = Checker([one]).run(seconds=5, until=lambda checker: "file" in checker.verdicts)
        assert checker.last("file").verdict is UP, "a missing file is 0"
        path.write_text("1", encoding="ascii")
        checker.run(seconds=5, until=lambda checker: checker.last("file").verdict is DOWN)
        path.unlink()
        checker.run(seconds=5, until=lambda checker: checker.last("file").verdict is UP)
        assert checker.last("file").verdict is UP


def test_a_flood_of_wrong_datagrams_delays_nobody(made: Callable[[Any], Any]) -> None:
    """Hundreds of answers with a wrong id each time, while another server is checked."""

    def flood(question: bytes) -> list[bytes]:
        return [dns_answer(question, identity=int.from_bytes(question[:2], "big") ^ 1) + bytes(400)] * 500

    loud = exchange(CheckKind.DNS_CHECK, made(UdpServer(flood)).port, name="loud", dns=DnsQuestion())
    good = exchange(
        CheckKind.DNS_CHECK, made(UdpServer(lambda q: [dns_answer(q)])).port, name="good", dns=DnsQuestion()
    )
    checker = Checker([loud, good]).run(seconds=8, until=lambda checker: checker.decided("loud", "good"))
    assert checker.last("good").verdict is UP
    assert checker.last("loud").verdict is DOWN


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def closed_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")


def resident_kib() -> int:
    return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0])


def pings_in_this_namespace() -> None:
    """What test_in_a_namespace runs, alone in a network namespace."""

    def ip(words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True)

    def ping(address: str, timeout_us: int = QUICK_US) -> None:
        one = check(
            CheckKind.PING_CHECK, 0, name="ping", urls=(), address=address, connect_timeout_us=timeout_us
        )
        checker = Checker([one])
        checker.run(
            seconds=6,
            until=lambda checker: checker.decided("ping") or "cannot probe" in str(checker.effects),
        )
        if checker.decided("ping"):
            print(checker.last("ping").verdict, checker.received("ping"), flush=True)
            return
        (text,) = {effect.text for effect in checker.effects if "cannot probe" in getattr(effect, "text", "")}
        print("unknown", text.partition(": ")[2], flush=True)

    ip("link set lo up")
    ping("127.0.0.1")  # a new namespace allows nobody
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647", encoding="ascii")
    ping("192.0.2.1")
    ip("link add v0 type veth peer name v1")
    ip("addr add 198.51.100.1/24 dev v0")
    ip("link set v0 up")
    ip("link set v1 up")
    ping("198.51.100.2", 5_000_000)  # nobody answers ARP
    ip("neigh add 198.51.100.3 lladdr 02:00:00:00:00:03 dev v0")
    ping("198.51.100.3")  # whoever has that address at layer 2 keeps silent
    ip("route add unreachable 203.0.113.0/24")
    ping("203.0.113.1")
    ping("127.0.0.1")


if __name__ == "__main__":
    signal.alarm(50)
    pings_in_this_namespace()
