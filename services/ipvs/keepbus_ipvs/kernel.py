"""The kernel's IPVS over generic netlink: many requests per send, each with its own acknowledgement.

The kernel works on a request while it is being sent, so that its answer waits when the send returns; what
has not answered then is lost and counts as unknown, never as done (V23).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from keepbus_ipvs import codec, settings_codec
from keepbus_ipvs.diff import Command, Verb
from keepbus_ipvs.events import SettingsRead, SettingsWritten, TableRead, Written
from keepbus_ipvs.settings import Act, Adjustment
from keepbus_ipvs.table import FoundDestination, FoundService, ServiceKey

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSG_MIN_TYPE = 16
_REQUEST, _ACK, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_NETLINK_GENERIC = 16
_CONTROL_FAMILY = 16
_GET_FAMILY = 3
_ATTR_FAMILY_ID = 1
_ATTR_FAMILY_NAME = 2
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_SO_RCVBUFFORCE = 33

_REQUESTS_PER_SEND = 128
_RECEIVE_BUFFER = 1 << 20
_RECEIVE_SIZE = 1 << 17
_ANSWER_TIMEOUT_S = 2
_SLICE_NS = 20_000_000
"""A reading pauses after so long, for whatever else there is to do."""
_DUMP_ATTEMPTS = 5
_MODPROBE_TIMEOUT_S = 5.0

_NO_SCHEDULER = "the kernel has no scheduler {scheduler}; load it with `modprobe ip_vs_{scheduler}`"
_WORDS = {
    (Verb.ADD_SERVICE, errno.ENOENT): _NO_SCHEDULER,
    (Verb.EDIT_SERVICE, errno.ENOENT): _NO_SCHEDULER,
    (Verb.ADD_DESTINATION, errno.EINVAL): "the kernel refuses this destination; "
    "the address families of service and server may differ only with TUN",
}
_PLAIN = {
    errno.EEXIST: "it exists already",
    errno.ESRCH: "its service does not exist",
    errno.ENOENT: "it does not exist",
    errno.ERANGE: "weight or thresholds are out of range",
    errno.EPERM: "CAP_NET_ADMIN in the first user namespace is needed; run the node as root",
}


class NetlinkError(Exception):
    """The kernel refused a request; `number` is its errno, 0 when there was no answer."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number) if number else "no answer")


class Kernel:
    """The kernel's table in this network namespace."""

    name = "ipvs"

    def __init__(self) -> None:
        """Raises OSError when there is no generic netlink."""
        self._socket = _connect()
        self._family = 0
        self._sequence = 0
        self._reading: Iterator[FoundService] = iter(())
        # One for all answers: a fresh one of this size is memory that the kernel has to map.
        self._buffer = memoryview(bytearray(_RECEIVE_SIZE))

    @classmethod
    def missing(cls) -> str:
        """Why this kernel's IPVS cannot be used and what to do; empty when it can. Loads ip_vs if it may."""
        number = cls._probe()
        if number == errno.ENOENT:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(["modprobe", "-q", "ip_vs"], timeout=_MODPROBE_TIMEOUT_S, check=False)
            number = cls._probe()
        if not number:
            return ""
        if number == errno.EPERM:
            return "this process may not use the kernel's IPVS: run the node as root, outside user namespaces"
        if number == errno.ENOENT:
            return "this kernel has no ip_vs: load it with `modprobe ip_vs`"
        return f"the kernel's IPVS does not answer ({os.strerror(number)})"

    @classmethod
    def _probe(cls) -> int:
        try:
            driver = cls()
        except OSError as error:
            return error.errno or errno.EIO
        try:
            return driver.request(codec.request(codec.GET_INFO))
        finally:
            driver.close()

    def read(self, *, further: bool = False) -> Iterable[TableRead]:
        """As much of the table as can be read in a moment, foreign services too."""
        started_ns = time.monotonic_ns()
        services: list[FoundService] = []
        error, more = "", False
        if not further:
            self._reading = self._services()
        try:
            for service in self._reading:
                services.append(service)
                if time.monotonic_ns() - started_ns >= _SLICE_NS:
                    more = True
                    break
        except (OSError, NetlinkError, codec.MalformedError) as failure:
            self._reopen()
            services.clear()
            error = f"cannot read the kernel's table: {failure}"
            if isinstance(failure, NetlinkError) and failure.number == errno.ENOENT:
                error = self.missing() or error
        took_ns = time.monotonic_ns() - started_ns
        return [TableRead(tuple(services), took_ns, time.time_ns(), error, more)]

    def write(self, commands: Sequence[Command]) -> Iterable[Written]:
        """Carry out commands in order, many per send."""
        numbers: list[int | None] = []
        for start in range(0, len(commands), _REQUESTS_PER_SEND):
            part = commands[start : start + _REQUESTS_PER_SEND]
            numbers += self._transact([codec.encode(command) for command in part])
        errors = [_sentence(command, number) for command, number in zip(commands, numbers, strict=True)]
        return [Written(tuple(errors), time.time_ns())]

    def read_settings(self) -> SettingsRead:
        """Sync daemons and time-outs."""
        try:
            daemons = map(settings_codec.decode_daemon, self._dump(codec.request(settings_codec.GET_DAEMON)))
            timeouts = settings_codec.decode_timeouts(self._ask(codec.request(settings_codec.GET_CONFIG)))
            return SettingsRead(tuple(daemons), timeouts)
        except (OSError, NetlinkError, codec.MalformedError) as failure:
            self._reopen()
            return SettingsRead((), (0, 0, 0), f"cannot read lvs_sync_daemon and lvs_timeouts: {failure}")

    def write_settings(self, adjustments: Sequence[Adjustment]) -> SettingsWritten:
        """Change them one after the other: whether a daemon can start depends on the one that stops."""
        errors = []
        for adjustment in adjustments:
            number = self._transact([settings_codec.encode(adjustment)])[0]
            errors.append(_setting_sentence(adjustment, number))
        return SettingsWritten(tuple(errors))

    def request(self, octets: bytes) -> int:
        """Send one request as it is; the kernel's errno, 0 for none, EIO when no answer came."""
        number = self._transact([octets])[0]
        return errno.EIO if number is None else number

    def close(self) -> None:
        """Close the socket; the table stays."""
        self._socket.close()

    def _services(self) -> Iterator[FoundService]:
        for payload in self._dump(codec.request(codec.GET_SERVICE)):
            service = codec.decode_service(payload)
            destinations = self._destinations(service.key)
            # Nothing is also what a service answers that was removed since the services were read (V11).
            if destinations or self._is_there(service.key):
                yield FoundService(service, destinations)

    def _is_there(self, key: ServiceKey) -> bool:
        try:
            self._ask(codec.get_service(key))
        except NetlinkError as error:
            if error.number == errno.ESRCH:
                return False
            raise
        return True

    def _destinations(self, key: ServiceKey) -> tuple[FoundDestination, ...]:
        payloads = self._dump(codec.dump_destinations(key))
        return tuple(codec.decode_destination(payload, key.family) for payload in payloads)

    def _transact(self, requests: Sequence[bytes]) -> list[int | None]:
        """The errno of each request, None where no answer came."""
        try:
            family = self._family_number()
        except NetlinkError as error:
            return [error.number or None] * len(requests)
        except OSError:
            return [None] * len(requests)
        first = self._sequence + 1
        self._sequence += len(requests)
        octets = b"".join(
            _message(family, _REQUEST | _ACK, first + index, payload)
            for index, payload in enumerate(requests)
        )
        numbers: list[int | None] = [None] * len(requests)
        waiting = len(requests)
        try:
            self._socket.send(octets)
            while waiting:
                for kind, _flags, sequence, payload in self._receive():
                    if kind == _NLMSG_ERROR and 0 <= sequence - first < len(requests):
                        numbers[sequence - first] = -_ERROR.unpack_from(payload)[0]
                        waiting -= 1
        except OSError:
            # Lost answers (ENOBUFS) and none at all: unknown, so that the table is read again.
            self._drain()
        return numbers

    def _dump(self, payload: bytes) -> list[bytes]:
        """All answers to a dump; one that was interrupted by a change is asked for again (V24)."""
        for _ in range(_DUMP_ATTEMPTS):
            answers, interrupted = self._dump_once(payload)
            if not interrupted:
                return answers
        raise NetlinkError(errno.EINTR)

    def _dump_once(self, payload: bytes) -> tuple[list[bytes], bool]:
        family = self._family_number()
        self._sequence += 1
        sequence = self._sequence
        self._socket.send(_message(family, _REQUEST | _DUMP, sequence, payload))
        answers: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, number, body in self._receive():
                if number != sequence:
                    continue
                interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    status = -_ERROR.unpack_from(body)[0] if len(body) >= 4 else 0
                    if status:
                        raise NetlinkError(status)
                    return answers, interrupted
                if kind >= _NLMSG_MIN_TYPE:
                    answers.append(body)

    def _reopen(self) -> None:
        """A dump that was left half read would stand in the way of the next one."""
        self._socket.close()
        self._socket, self._family = _connect(), 0

    def _ask(self, payload: bytes) -> bytes:
        """The one answer to a question."""
        return self._answer(self._family_number(), payload)

    def _family_number(self) -> int:
        """The family's number, looked up once, and anew after it was found gone (V1)."""
        if self._family:
            return self._family
        name = codec.FAMILY_NAME.encode() + b"\0"
        payload = struct.pack("=BBHHH", _GET_FAMILY, 1, 0, 4 + len(name), _ATTR_FAMILY_NAME) + name
        fields = dict(codec.attributes(self._answer(_CONTROL_FAMILY, payload + bytes(-len(payload) % 4)), 4))
        self._family = int.from_bytes(fields[_ATTR_FAMILY_ID][:2], sys.byteorder)
        return self._family

    def _answer(self, family: int, payload: bytes) -> bytes:
        self._sequence += 1
        sequence = self._sequence
        self._socket.send(_message(family, _REQUEST, sequence, payload))
        while True:
            for kind, _flags, number, body in self._receive():
                if number != sequence:
                    continue
                if kind == _NLMSG_ERROR:
                    raise NetlinkError(-_ERROR.unpack_from(body)[0])
                return body

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, sequence number and payload of each message of one datagram."""
        try:
            octets = bytes(self._buffer[: self._socket.recv_into(self._buffer)])
        except BlockingIOError:
            raise TimeoutError("no answer") from None
        offset = 0
        while len(octets) - offset >= _HEADER.size:
            length, kind, flags, sequence, _port = _HEADER.unpack_from(octets, offset)
            if length < _HEADER.size:
                return
            yield kind, flags, sequence, octets[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3

    def _drain(self) -> None:
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            while self._socket.recv(_RECEIVE_SIZE):
                pass
        self._socket.setblocking(True)


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
    connection.bind((0, 0))
    # Not Python's own time-out, which asks poll() before each call.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _ANSWER_TIMEOUT_S, 0))
    # An acknowledgement of an error then carries no copy of the request.
    connection.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return connection


def _message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, sequence, 0) + payload


def _setting_sentence(adjustment: Adjustment, number: int | None) -> str:
    act, daemon, _seconds = adjustment
    # Whoever started or stopped it before: it is as it should be (V21); the next reading tells.
    if number == 0 or (act, number) in ((Act.START, errno.EEXIST), (Act.STOP, errno.ESRCH)):
        return ""
    if number is None:
        return "the kernel's answer was lost"
    if daemon is None:
        return f"the kernel refuses lvs_timeouts ({os.strerror(number)})"
    if number == errno.ENODEV:
        return f"there is no interface {daemon.interface} for lvs_sync_daemon"
    if number == errno.EINVAL:
        return (
            "the kernel refuses lvs_sync_daemon: a server of another address family than its service's "
            "stands in the way"
        )
    return f"the kernel refuses lvs_sync_daemon on {daemon.interface} ({os.strerror(number)})"


def _sentence(command: Command, number: int | None) -> str:
    if number == 0:
        return ""
    if number is None:
        return "the kernel's answer was lost"
    words = _WORDS.get((command.verb, number))
    if words is not None:
        return words.format(scheduler=command.service.scheduler)
    return _PLAIN.get(number, os.strerror(number))
