"""SSL_GETs: the GETs of http.py inside TLS.

As with keepalived any version of TLS that the library allows will do, and nobody verifies the certificate
unless `verify` of the `SSL` block asks for it: the check asks whether the server serves, not who it is. The
connection is closed without TLS's farewell, unless the page is tls_compliant.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import NamedTuple, cast

from keepbus.config.model.checker import Check, TlsClient
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.batch import Batch, Ended, Ready, failed
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.http import READ_MASK, READ_OCTETS, READS_PER_TURN, Page
from keepbus_checker.tcp import Socket, error_of

_Versions = tuple[tuple[int, int], ...]


class Unusable(Exception):
    """The `SSL` block's files can't be used; the sentence says which and why."""


def context(tls: TlsClient | None, *, named: bool) -> ssl.SSLContext:
    """The settings of probes that name the server, or don't. Raises Unusable.

    They are made anew when a file that they come from is another one: certificates are renewed.
    """
    return _plain() if tls is None else _context(tls, named, _versions(tls))


def _versions(tls: TlsClient) -> _Versions:
    versions = []
    for path in (tls.ca, tls.certificate, tls.key):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            versions.append((status.st_ino, status.st_mtime_ns))
    return tuple(versions)


@cache
def _plain() -> ssl.SSLContext:
    """Made when the first probe needs it."""
    return _as_keepalived()


def _as_keepalived() -> ssl.SSLContext:
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    settings.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    settings.set_ciphers("DEFAULT")
    return settings


@lru_cache(maxsize=8)
def _context(tls: TlsClient, named: bool, _of: _Versions) -> ssl.SSLContext:
    settings = _as_keepalived()
    # What is shown needs both, as in keepalived; the compiler says so where one is missing.
    if tls.certificate and tls.key:
        try:
            # Without a password OpenSSL would ask the terminal for one.
            settings.load_cert_chain(tls.certificate, tls.key, password=tls.password)
        except OSError as error:
            raise Unusable(
                f"certificate {tls.certificate} with key {tls.key} of `SSL` cannot be used ({_words(error)})"
            ) from None
    try:
        if tls.ca:
            settings.load_verify_locations(tls.ca)
        elif tls.verify:
            settings.load_default_certs()
    except OSError as error:
        raise Unusable(f"ca {tls.ca} of `SSL` cannot be used ({_words(error)})") from None
    if tls.verify:
        settings.verify_mode = ssl.CERT_REQUIRED
        settings.check_hostname = named
    return settings


class Secured(NamedTuple):
    """What is asked for inside TLS, worked out once per check."""

    page: Page
    check: Check
    shown: Callable[[bytes], Iterable[Event]]
    """Gets the server's certificate, DER."""


class TlsProbes(Batch[Secured]):
    """All SSL_GETs under way: one URL each, on its own connection."""

    def __init__(
        self, loop: Loop, clock_ns: Callable[[], int], wall_ns: Callable[[], int], buffer: memoryview
    ) -> None:
        """buffer is where octets are read to; nothing is kept there."""
        super().__init__(loop, clock_ns, wall_ns)
        self._buffer = buffer
        self._exchanges: dict[int, _Exchange] = {}
        """Those that are connected, by descriptor."""

    def _forget(self, fd: int) -> None:
        self._exchanges.pop(fd, None)

    def _connected(self, ready: Ready, watch: Callable[[int, int], None]) -> list[Event]:
        ended: list[Ended] = []
        connected: list[int] = []
        for fd, mask in ready:
            _number, _started_ns, sock, asked = self._under_way[fd]
            try:
                if error := error_of(sock, mask):
                    ended.append(failed(fd, error))
                else:
                    self._exchanges[fd] = _Exchange(sock, asked)
                    connected.append(fd)
            except Unusable as reason:
                ended.append((fd, Outcome.LOCAL, str(reason)))
        return self._go_on(connected, ended, watch)

    def _look(self, ready: Ready) -> list[Event]:
        young: list[tuple[int, int]] = []
        others: list[int] = []
        for fd, mask in ready:
            exchange = self._exchanges.get(fd)
            if exchange is None:
                young.append((fd, mask))
                continue
            exchange.read(mask, self._buffer)
            others.append(fd)
        events = self._go_on(others, [], self._epoll.modify)
        return events + self._connected(young, self._epoll.modify) if young else events

    def _go_on(
        self, fds: Iterable[int], ended: list[Ended], watch: Callable[[int, int], None]
    ) -> list[Event]:
        """Let TLS make what it can of what came on these; the others have ended."""
        events: list[Event] = []
        advanced: dict[str, list[int]] = {}
        for fd in fds:
            number, _started_ns, _sock, asked = self._under_way[fd]
            exchange = self._exchanges[fd]
            mask = exchange.mask
            try:
                end = exchange.go_on(self._buffer)
            except OSError as error:
                ended.append(failed(fd, error.errno or 0))
                continue
            if exchange.certificate:
                events += asked.shown(exchange.certificate)
                exchange.certificate = b""
            if end is not None:
                ended.append((fd, *end))
                continue
            if exchange.step:
                advanced.setdefault(exchange.step, []).append(number)
            if exchange.mask != mask:
                watch(fd, exchange.mask)
        for fd, _outcome, _received in ended:
            self._forget(fd)
        events += self._end(ended)
        events += [ProbesAdvanced(numbers, step) for step, numbers in advanced.items()]
        return events


class _Exchange:
    """A GET inside TLS, on a connection.

    OpenSSL never sees the socket: it would read on for as long as a server sends messages that mean nothing.
    It gets what one look has read, and what it wants to say is sent before more is read.
    """

    __slots__ = (
        "_answer",
        "_asked",
        "_failure",
        "_incoming",
        "_outgoing",
        "_request",
        "_sock",
        "_tls",
        "_unsent",
        "certificate",
        "mask",
        "step",
    )

    def __init__(self, sock: Socket, asked: Secured) -> None:
        """Raises Unusable."""
        check = asked.check
        self._sock = sock
        self._request = asked.page.request
        self._answer = Answer(asked.page.url)
        self._asked = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._failure: OSError | None = None
        """Of the connection: what ended the stream."""
        self.certificate = b""
        """The server's, DER, when it was shown last."""
        self.mask = 0
        """What to wait for."""
        self.step = "handshake"
        """What the last `go_on` was about; empty: nothing worth to be told."""
        settings = context(check.tls, named=bool(check.sni_name))
        try:
            self._tls = settings.wrap_bio(
                self._incoming, self._outgoing, server_hostname=check.sni_name or None
            )
        except ValueError as error:
            raise Unusable(f"sni_name {check.sni_name} cannot be sent ({error})") from None

    def read(self, mask: int, buffer: memoryview) -> None:
        """Take what came, unless something is still to be sent."""
        if self._unsent:
            return
        for _ in range(READS_PER_TURN):
            try:
                count = self._sock.recv_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._failure = error
                count = 0
            if not count:
                self._incoming.write_eof()
                return
            self._incoming.write(buffer[:count])
            # That was all for now, and the mask knows whether it was the end.
            if count < READ_OCTETS and mask == READABLE:
                return

    def go_on(self, buffer: memoryview) -> tuple[Outcome, str] | None:
        """Let TLS make what it can of what came; the end, when that is it. Raises OSError."""
        tls, incoming = self._tls, self._incoming
        self.step = "" if self._asked else "handshake"
        try:
            if not self._asked:
                tls.do_handshake()
                tls.write(self._request)
                self._asked = True
                self.step = "answer"
                self.certificate = tls.getpeercert(True) or b""
            # Asked for more than there is TLS would say so by an exception, which costs more than to look.
            while incoming.pending or incoming.eof or tls.pending():
                count = cast(int, tls.read(READ_OCTETS, buffer))
                if not count:
                    return self._whole()
                if refusal := self._answer.feed(buffer[:count]):
                    return Outcome.FAILED, refusal
                self.step = "more"
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return self._broken(error)
        self._send()
        return None

    def _broken(self, error: ssl.SSLError) -> tuple[Outcome, str]:
        """TLS goes no further. Raises OSError."""
        cut_off = isinstance(error, ssl.SSLEOFError)
        if cut_off and self._asked and not self._answer.url.tls_compliant:
            return self._whole()  # as in keepalived, whatever ends the stream ends the answer
        if cut_off and self._failure is not None:
            raise self._failure
        self._say_last()
        what = "TLS failed" if self._asked else "TLS handshake failed"
        return Outcome.FAILED, f"{what}: {_words(error)}"

    def _whole(self) -> tuple[Outcome, str]:
        """The server has sent all."""
        if self._answer.url.tls_compliant:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._say_last()
        passed, received = self._answer.end()
        return Outcome.PASSED if passed else Outcome.FAILED, received

    def _send(self) -> None:
        """Send what TLS wants to say; nothing is read before the server has taken it."""
        self._unsent += self._outgoing.read()
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        self.mask = WRITABLE if self._unsent else READ_MASK

    def _say_last(self) -> None:
        """An alert or the farewell, if there is one and the server takes it."""
        with contextlib.suppress(OSError):
            self._sock.send(self._outgoing.read())


def _words(error: OSError) -> str:
    """OpenSSL's reason as an operator reads it: `wrong version number`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted, {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error.args[-1])).replace("_", " ").lower()
    return str(error.strerror).lower()
