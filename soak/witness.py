"""The client that asks for every virtual address, all the time, and notes which nodes answer.

Law of this file: it does not ask the nodes, it asks the wire. A question (ARP, neighbour solicitation) goes
out on the bridge; each answer is attributed to the bridge's port by which it came in, so that two nodes that
answer with one virtual MAC address are still two.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping

from soak.network import CLIENT, CLIENT6, port
from soak.routers import Router

INTERVAL_S = 0.04
_LATE_S = 0.1
_IGNORE_OUTGOING = 23
_SOL_PACKET = 263
_ALL = 0x0003


class Witness:
    """Asks from its start to its end; a thread of its own."""

    def __init__(self, routers: tuple[Router, ...], hosts: list[str]) -> None:
        bridges = {router.bridge for router in routers}
        self._speakers = {bridge: _packet_socket(bridge) for bridge in bridges}
        self._questions = {router.address: (router.bridge, self._question(router)) for router in routers}
        self._ears = {
            _packet_socket(port(bridge, host), listen=True): host for bridge in bridges for host in hosts
        }
        self._lock = threading.Lock()
        self._answers: dict[str, list[tuple[float, frozenset[str]]]] = {
            address: [(time.monotonic(), frozenset())] for address in self._questions
        }
        self._blind: list[tuple[float, float]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="witness", daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def answering(self) -> Mapping[str, frozenset[str]]:
        """Who answers now, by address."""
        with self._lock:
            return {address: series[-1][1] for address, series in self._answers.items()}

    def since(self, moment_s: float) -> dict[str, list[tuple[float, frozenset[str]]]]:
        """Who answered from that moment on, by address."""
        with self._lock:
            return {
                address: [
                    each
                    for each, after in zip(series, [*series[1:], (float("inf"), frozenset())], strict=True)
                    if after[0] > moment_s
                ]
                for address, series in self._answers.items()
            }

    def blind(self, moment_s: float) -> list[tuple[float, float]]:
        """When it could not ask, from that moment on."""
        with self._lock:
            return [each for each in self._blind if each[1] > moment_s]

    def forget(self, moment_s: float) -> None:
        """Give up what was before that moment."""
        kept = self.since(moment_s)
        with self._lock:
            self._answers = kept
            self._blind = [each for each in self._blind if each[1] > moment_s]

    def _question(self, router: Router) -> bytes:
        mac: bytes = self._speakers[router.bridge].getsockname()[4]
        return question(router.address, mac, CLIENT6 if ":" in router.address else CLIENT[router.bridge])

    def _ask(self) -> None:
        poller = select.poll()
        by_descriptor = {ear.fileno(): (ear, host) for ear, host in self._ears.items()}
        for descriptor in by_descriptor:
            poller.register(descriptor, select.POLLIN)
        while not self._end.is_set():
            asked_s = time.monotonic()
            for bridge, frame in self._questions.values():
                try:
                    self._speakers[bridge].send(frame)
                except OSError:
                    continue
            heard: dict[str, set[str]] = {address: set() for address in self._questions}
            while (left_s := asked_s + INTERVAL_S - time.monotonic()) > 0:
                for descriptor, _ in poller.poll(left_s * 1000):
                    ear, host = by_descriptor[descriptor]
                    for address in _answers(ear):
                        if address in heard:
                            heard[address].add(host)
            self._note(asked_s, time.monotonic(), heard)

    def _note(self, asked_s: float, now_s: float, heard: dict[str, set[str]]) -> None:
        with self._lock:
            for address, hosts in heard.items():
                series = self._answers[address]
                if series[-1][1] != hosts:
                    series.append((asked_s, frozenset(hosts)))
            if now_s - asked_s > INTERVAL_S + _LATE_S:
                self._blind.append((asked_s, now_s))


def question(address: str, mac: bytes, asker: str) -> bytes:
    """The frame by which the asker, an address and its MAC address, asks who has the address."""
    source = ipaddress.ip_address(asker).packed
    target = ipaddress.ip_address(address).packed
    if len(target) == 4:
        body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, source, bytes(6), target)
        return b"\xff" * 6 + mac + b"\x08\x06" + body
    group = ipaddress.ip_address("ff02::1:ff00:0").packed[:13] + target[13:]
    message = struct.pack("!BBHI16sBB6s", 135, 0, 0, 0, target, 1, 1, mac)
    pseudo = source + group + struct.pack("!II", len(message), 58)
    message = message[:2] + struct.pack("!H", _checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB16s16s", 0x60000000, len(message), 58, 255, source, group)
    return b"\x33\x33" + group[12:] + mac + b"\x86\xdd" + header + message


def answered(frame: bytes) -> str:
    """The address that a frame answers for; empty when it is none of the answers."""
    kind = frame[12:14]
    if kind == b"\x08\x06" and frame[20:22] == b"\x00\x02":
        return str(ipaddress.ip_address(frame[28:32]))
    if kind == b"\x86\xdd" and len(frame) >= 78 and frame[20] == 58 and frame[54] == 136:
        solicited = frame[58] & 0x40
        return str(ipaddress.ip_address(frame[62:78])) if solicited else ""
    return ""


def _answers(ear: socket.socket) -> list[str]:
    found = []
    try:
        for _ in range(100):
            if address := answered(ear.recv(2048)):
                found.append(address)
    except OSError:
        pass
    return found


def _packet_socket(interface: str, *, listen: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setblocking(False)
    if listen:
        made.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        made.bind((interface, _ALL))
    else:
        made.bind((interface, 0))
    return made


def _checksum(octets: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
