"""Every kind of check, and what it tells of servers of every character. test_checker_characters plays it."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from checker_characters import (
    GARBAGE,
    TEN_MEGABYTES,
    Made,
    datagrams,
    deaf,
    dribble,
    echo,
    flood,
    half,
    late,
    much,
    nobody,
    pieces,
    pinged,
    silent,
    stream,
)
from checker_peers import dns_answer, smtp
from checker_servers import HELLO, Behaviour, answer, page, reset, tls_context

from keepbus.config.model.checker import CheckKind, MiscCommand, Regex, TrackedFile
from keepbus.config.model.scripts import Script

CHARACTERS = ("good", "refusing", "slow", "hanging", "half-closing", "garbage", "10 MB")
FOLLOWED = (CheckKind.FILE_CHECK, CheckKind.BFD_CHECK)
"""These are not probed, so nobody can hold them up."""
UP, DOWN, UNKNOWN = "up", "down", "unknown"
TIMEOUT_US, PATIENT_US = 500_000, 10_000_000


class Case(NamedTuple):
    """A server, and what is told of it."""

    make: Callable[[], Made]
    verdict: str
    received: str
    """What the evidence begins with."""


Cases = dict[str, Case]
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
GREETING, HELO, QUIT = b"220 x\r\n", b"250 x\r\n", b"221 x\r\n"
PATIENT = {"connect_timeout_us": PATIENT_US}
NO_ANSWER, NO_CONNECTION, REFUSED = (
    "no answer within 0.5 s",
    "no connection within 0.5 s",
    "connection refused",
)


def made(make: Callable[[], Made], **settings: Any) -> Callable[[], Made]:
    """With fields of the check besides."""
    return lambda: make() | settings


def tcp() -> Cases:
    """TCP_CHECK asks for a connection and for nothing else."""
    return {
        "good": Case(stream(answer(b"")), UP, "connected"),
        "refusing": Case(nobody, DOWN, REFUSED),
        "slow": Case(stream(pieces(b"x", b"y")), UP, "connected"),
        "hanging": Case(deaf, DOWN, NO_CONNECTION),
        "half-closing": Case(stream(half()), UP, "connected"),
        "garbage": Case(stream(answer(GARBAGE)), UP, "connected"),
        "10 MB": Case(stream(much()), UP, "connected"),
    }


def http(serve: Callable[[Behaviour], Callable[[], Made]]) -> Cases:
    """What HTTP_GET and SSL_GET have in common; serve makes a server that has read the request."""
    whole = f"200, {TEN_MEGABYTES} octets"
    regex, digest = page("/", regex=Regex(pattern="needle")), page("/", digest="0" * 32)
    return {
        "good": Case(serve(answer(HELLO)), UP, "200, 5 octets"),
        "refusing": Case(nobody, DOWN, REFUSED),
        "slow": Case(serve(pieces(HELLO[:7], HELLO[7:30], HELLO[30:])), UP, "200, 5 octets"),
        "hanging": Case(serve(silent), DOWN, NO_ANSWER),
        "hanging after its answer": Case(
            serve(pieces(HELLO, *[b""] * 9)), DOWN, "nothing more of the answer within 0.5 s"
        ),
        "dribbling": Case(serve(dribble(b"HTTP/1.1 ", b"2")), DOWN, "answer not complete within 5 s"),
        "half-closing": Case(serve(half(HELLO)), UP, "200, 5 octets"),
        "half-closing at once": Case(serve(half()), DOWN, "no answer, connection closed"),
        "resetting": Case(serve(resets(HEAD[:9])), DOWN, "connection reset by peer"),
        "resetting after its answer": Case(serve(resets(HELLO)), DOWN, "connection reset by peer"),
        "garbage": Case(serve(answer(GARBAGE)), DOWN, "head not complete"),
        "garbage for a head": Case(
            serve(answer(GARBAGE + b"\r\n\r\n")), DOWN, "no status code in the answer"
        ),
        "garbage for chunks": Case(
            serve(answer(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n-1\r\nzz")),
            UP, "200, 25 octets",
        ),
        "10 MB": Case(made(serve(much(HEAD)), **PATIENT), UP, whole),
        "10 MB of one head": Case(
            made(serve(much(HEAD[:-2])), **PATIENT), DOWN, "head longer than 16384 octets"
        ),
        "10 MB of heads": Case(
            made(serve(much(HEAD[:-2], b"X: yz\r\n" * 8)), **PATIENT), DOWN, "head longer than 16384 octets"
        ),
        "10 MB and a regex": Case(
            made(serve(much(HEAD)), **PATIENT, urls=(regex,)), DOWN, f"{whole}, regex does not match"
        ),
        "10 MB and a digest": Case(made(serve(much(HEAD)), **PATIENT, urls=(digest,)), DOWN, f"{whole}, MD5"),
        "80 MB": Case(
            made(serve(much(HEAD, octets=80_000_000)), **PATIENT),
            DOWN, "body longer than 67108864 octets",
        ),
    }  # fmt: skip


def resets(octets: bytes) -> Behaviour:
    """Send these, and close with a reset."""

    def behave(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(octets)
        time.sleep(0.1)
        reset(connection)

    return behave


def ssl_get(folder: Path) -> Cases:
    """What goes wrong before there is a connection of TLS, besides what goes wrong in it."""
    failed = "TLS handshake failed: "
    record = b"\x16\x03\x03\x40\x00"
    # HelloRequests, which a client that is shaking hands is to pass over (RFC 5246 section 7.4.1.1).
    nothing = record + bytes(16_384)

    def https(behaviour: Behaviour) -> Callable[[], Made]:
        return lambda: stream(behaviour, reads=True, tls=tls_context(folder))()

    return http(https) | {
        "hanging in the handshake": Case(stream(silent), DOWN, "no TLS handshake within 0.5 s"),
        "dribbling in the handshake": Case(
            stream(dribble(record + b"\x02\0\x40\0", b"\0")), DOWN, "answer not complete within 5 s"
        ),
        "half-closing in the handshake": Case(stream(half()), DOWN, failed),
        "garbage for a handshake": Case(stream(half(GARBAGE)), DOWN, failed),
        "10 MB of garbage": Case(stream(much()), DOWN, failed),
        "10 MB for one message": Case(stream(much(record + b"\x02\xff\xff\xff", b"\0")), DOWN, failed),
        "nothing without end": Case(
            stream(much(filling=nothing, octets=10**12)), DOWN, "answer not complete within 5 s"
        ),
        # As in keepalived whatever ends the stream ends the answer.
        "resetting": Case(https(resets(HEAD[:9])), DOWN, "head not complete"),
        "resetting after its answer": Case(https(resets(HELLO)), UP, "200, 5 octets"),
    }


def smtp_check() -> Cases:
    def talk(*words: bytes | float) -> Callable[[], Made]:
        return stream(smtp(*words))

    return {
        "good": Case(talk(GREETING, HELO, QUIT), UP, "221 x"),
        "refusing": Case(nobody, DOWN, REFUSED),
        "refusing politely": Case(talk(b"554 go away\r\n"), DOWN, "greeting: 554 go away"),
        "slow": Case(talk(0.1, b"22", 0.1, b"0 x\r\n", 0.2, HELO, 0.2, QUIT), UP, "221 x"),
        "hanging": Case(stream(silent), DOWN, NO_ANSWER),
        "hanging in the dialogue": Case(talk(GREETING, 30.0), DOWN, NO_ANSWER),
        "dribbling": Case(stream(dribble(b"220", b" ")), DOWN, NO_ANSWER),
        "half-closing": Case(stream(half(b"220 x")), DOWN, "connection closed before the greeting"),
        "half-closing in the dialogue": Case(
            stream(half(GREETING)), DOWN, "connection closed before the reply to HELO"
        ),
        "garbage": Case(stream(answer(GARBAGE + b"\r\n")), DOWN, "greeting: "),
        "10 MB": Case(made(stream(much()), **PATIENT), DOWN, "greeting: reply longer than 512 octets"),
        "10 MB of replies": Case(made(stream(much(filling=GREETING)), **PATIENT), DOWN, "HELO: 220 x"),
    }


def dns_check() -> Cases:
    return {
        "good": Case(datagrams(lambda query: [dns_answer(query)]), UP, "NOERROR, 0 answers"),
        "refusing": Case(nobody, DOWN, REFUSED),
        "refusing politely": Case(
            datagrams(lambda query: [dns_answer(query, flags=0x8185)]), DOWN, "REFUSED"
        ),
        "slow": Case(datagrams(late(lambda query: [dns_answer(query)])), UP, "NOERROR, 0 answers"),
        "hanging": Case(datagrams(lambda query: []), DOWN, NO_ANSWER),
        "half-closing": Case(datagrams(lambda query: [dns_answer(query)[:14]]), DOWN, "malformed answer: "),
        "garbage": Case(datagrams(lambda query: [b"", GARBAGE[:5], GARBAGE] * 9), DOWN, NO_ANSWER),
        "garbage with our id": Case(
            datagrams(lambda query: [query[:2] + b"\x81\x80" + GARBAGE]), DOWN, "malformed answer: "
        ),
        "10 MB": Case(
            datagrams(flood(lambda query: query[:2] + b"\x81\x80")), DOWN, "answer longer than 4096 octets"
        ),
        "10 MB of other ids": Case(
            datagrams(flood(lambda query: bytes((query[0] ^ 1, query[1])))), DOWN, NO_ANSWER
        ),
    }


def udp_check() -> Cases:
    return {
        "good": Case(datagrams(lambda request: [b"\x01\x02"]), UP, "2 octets"),
        "refusing": Case(nobody, DOWN, REFUSED),
        "slow": Case(datagrams(late(lambda request: [b"\x01\x02"])), UP, "2 octets"),
        "hanging": Case(datagrams(lambda request: []), DOWN, NO_ANSWER),
        "half-closing": Case(datagrams(lambda request: [b""]), DOWN, "0 octets, but 1 to 255 are wanted"),
        "garbage": Case(datagrams(lambda request: [GARBAGE[:9]]), DOWN, "9 octets, but octet 1 is ff"),
        "10 MB": Case(datagrams(flood(lambda request: b"")), DOWN, "60000 octets, but 1 to 255 are wanted"),
    }


def ping_check() -> Cases:
    return {
        "good": Case(pinged(lambda *asked: [echo(*asked)]), UP, "echo reply, 128 octets"),
        "refusing": Case(lambda: {"port": 0, "address": "203.0.113.1"}, DOWN, "no route to host"),
        "slow": Case(pinged(lambda *asked: late(lambda _: [echo(*asked)])(b"")), UP, "echo reply"),
        "hanging": Case(pinged(lambda *asked: []), DOWN, NO_ANSWER),
        "half-closing": Case(pinged(lambda *asked: [echo(*asked)[:4]]), DOWN, NO_ANSWER),
        "garbage": Case(
            pinged(lambda identifier, number, data: [GARBAGE, echo(identifier, number ^ 1, data)] * 9),
            DOWN, NO_ANSWER,
        ),
        "10 MB": Case(
            pinged(lambda identifier, number, data: [echo(identifier, number ^ 1, bytes(60_000))] * 166),
            DOWN, NO_ANSWER,
        ),
    }  # fmt: skip


def misc_check(folder: Path) -> Cases:
    def script(text: str, timeout_us: int = TIMEOUT_US) -> Callable[[], Made]:
        def make() -> Made:
            path = Path(tempfile.mkdtemp(dir=folder)) / "script"
            path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            path.chmod(0o755)
            command = MiscCommand(script=Script(argv=(str(path),), user="root"), timeout_us=timeout_us)
            return {"port": 0, "address": "", "misc": command}

        return make

    late_word = "not ended within 0.5 s"
    return {
        "good": Case(script("exit 0", PATIENT_US), UP, "exit status 0"),
        "refusing": Case(script("exit 1", PATIENT_US), DOWN, "exit status 1"),
        "slow": Case(script("sleep 0.2; echo done", PATIENT_US), UP, "exit status 0: done"),
        "hanging": Case(script("trap '' TERM; while :; do sleep 1; done"), DOWN, late_word),
        "half-closing": Case(script("exec >&- 2>&-; sleep 30"), DOWN, late_word),
        "garbage": Case(
            script(r"printf '\377\033[2J\000\n'; kill -9 $$", PATIENT_US), DOWN, "ended by SIGKILL: "
        ),
        "10 MB": Case(script("yes | head -c 10000000", PATIENT_US), UP, "exit status 0: y"),
    }


def file_check(folder: Path) -> Cases:
    def file(prepare: Callable[[Path], Any]) -> Callable[[], Made]:
        def make() -> Made:
            path = Path(tempfile.mkdtemp(dir=folder)) / "file"
            prepare(path)
            return {"port": 0, "address": "", "file": TrackedFile(name=path.parent.name, path=str(path))}

        return make

    def later(path: Path) -> None:
        """Half of a number, and after a while the other half."""
        path.write_bytes(b"4\n")

        def write() -> None:
            time.sleep(2)
            with path.open("wb", buffering=0) as stream:
                stream.write(b"1")
                time.sleep(0.5)
                stream.write(b"7\n")

        threading.Thread(target=write, daemon=True).start()

    return {
        "good": Case(file(lambda path: path.write_bytes(b"3\n")), UP, "value 3"),
        "refusing": Case(file(lambda path: path.mkdir()), UNKNOWN, ""),
        "slow": Case(file(later), UP, "value 17"),
        "hanging": Case(file(os.mkfifo), UP, "value 0"),
        "half-closing": Case(file(lambda path: path.write_bytes(b"")), UP, "value 0"),
        "garbage": Case(file(lambda path: path.write_bytes(GARBAGE)), UP, "value 0"),
        "10 MB": Case(file(lambda path: path.write_bytes(b"1" * TEN_MEGABYTES)), UP, "value 0"),
    }


def bfd_check() -> Cases:
    """The other side is the bus: the sessions of these names are told by test_checker_characters."""

    words = {
        "good": "session up",
        "refusing": "session down",
        "slow": "session up",
        "half-closing": "session up",
    }
    verdicts = {"refusing": DOWN, "hanging": UNKNOWN, "garbage": UNKNOWN, "10 MB": UNKNOWN}
    return {
        name: Case(
            lambda name=name: {"port": 0, "address": "", "bfd": name},  # type: ignore[misc]
            verdicts.get(name, UP), words.get(name, ""),
        )
        for name in CHARACTERS
    }  # fmt: skip


def table(folder: Path) -> dict[CheckKind, Cases]:
    """All cases; nothing is made yet."""
    return {
        CheckKind.TCP_CHECK: tcp(),
        CheckKind.HTTP_GET: http(lambda behaviour: stream(behaviour, reads=True)),
        CheckKind.SSL_GET: ssl_get(folder),
        CheckKind.SMTP_CHECK: smtp_check(),
        CheckKind.DNS_CHECK: dns_check(),
        CheckKind.UDP_CHECK: udp_check(),
        CheckKind.PING_CHECK: ping_check(),
        CheckKind.MISC_CHECK: misc_check(folder),
        CheckKind.FILE_CHECK: file_check(folder),
        CheckKind.BFD_CHECK: bfd_check(),
    }
