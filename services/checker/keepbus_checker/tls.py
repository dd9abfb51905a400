"""One URL of an SSL_GET under way: the GET of http.py inside TLS.

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

from keepbus.config.model import Check, TlsClient
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.http import READ_MASK, READ_OCTETS, READS_PER_TURN, Page
from keepbus_checker.tcp import End, Socket, error_of, outcome_of, words_of

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


class TlsProbe:
    """A GET inside TLS.

    OpenSSL never sees the socket: it would read on for as long as a server sends messages that mean nothing.
    It gets what one look has read, and what it wants to say is sent before more is read.
    """

    __slots__ = (
        "_answer",
        "_asked",
        "_buffer",
        "_check",
        "_end",
        "_incoming",
        "_loop",
        "_mask",
        "_number",
        "_outgoing",
        "_request",
        "_shown",
        "_tls",
        "_unsent",
        "sock",
    )

    def __init__(
        self,
        number: int,
        sock: Socket,
        loop: Loop,
        end: End,
        *,
        page: Page,
        check: Check,
        shown: Callable[[bytes], Iterable[Event]],
        buffer: memoryview,
    ) -> None:
        """shown gets the server's certificate, DER; buffer is where octets are read to."""
        self._number = number
        self.sock = sock
        self._loop = loop
        self._end = end
        self._request = page.request
        self._asked = False
        self._answer = Answer(page.url)
        self._check = check
        self._shown = shown
        self._buffer = buffer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._mask = 0
        """What the loop watches for, once there is a connection."""
        self._tls: ssl.SSLObject
        loop.watch(sock.fileno(), self._connected, WRITABLE)

    def _connected(self, mask: int) -> Iterable[Event]:
        if error := error_of(self.sock, mask):
            return self._failed(error)
        check = self._check
        try:
            settings = context(check.tls, named=bool(check.sni_name))
            self._tls = settings.wrap_bio(
                self._incoming, self._outgoing, server_hostname=check.sni_name or None
            )
        except Unusable as reason:
            return self._end(self._number, Outcome.LOCAL, str(reason))
        except ValueError as error:
            unusable = f"sni_name {check.sni_name} cannot be sent ({error})"
            return self._end(self._number, Outcome.LOCAL, unusable)
        return self._go_on()

    def _ready(self, mask: int) -> Iterable[Event]:
        """Give TLS what came, unless something is still to be sent."""
        if self._unsent:
            return self._send(())
        for _ in range(READS_PER_TURN):
            try:
                count = self.sock.recv_into(self._buffer)
            except BlockingIOError:
                break
            except OSError as error:
                if not self._asked or self._answer.url.tls_compliant:
                    return self._failed(error.errno)
                count = 0  # as in keepalived, whatever ends the stream ends the answer
            if not count:
                self._incoming.write_eof()
                break
            self._incoming.write(self._buffer[:count])
            # That was all for now, and the mask knows whether it was the end.
            if count < READ_OCTETS and mask == READABLE:
                break
        return self._go_on()

    def _go_on(self) -> Iterable[Event]:
        """Let TLS make what it can of what came."""
        news: list[Event] = []
        step = "" if self._asked else "handshake"
        try:
            if not self._asked:
                self._tls.do_handshake()
                self._tls.write(self._request)
                self._asked = True
                step = "answer"
                news += self._shown(self._tls.getpeercert(True) or b"")
            while octets := self._tls.read(READ_OCTETS):
                if refusal := self._answer.feed(octets):
                    return [*news, *self._end(self._number, Outcome.FAILED, refusal)]
                step = "more"
        except ssl.SSLWantReadError:
            if step:
                news.append(ProbesAdvanced((self._number,), step))
            return self._send(news)
        except ssl.SSLError as error:
            ragged = isinstance(error, ssl.SSLEOFError) and not self._answer.url.tls_compliant
            if not (self._asked and ragged):
                self._say_last()
                what = "TLS failed" if self._asked else "TLS handshake failed"
                return [*news, *self._end(self._number, Outcome.FAILED, f"{what}: {_words(error)}")]
        if self._answer.url.tls_compliant:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._say_last()
        passed, received = self._answer.end()
        return [*news, *self._end(self._number, Outcome.PASSED if passed else Outcome.FAILED, received)]

    def _send(self, news: Iterable[Event]) -> Iterable[Event]:
        """Send what TLS wants to say; nothing is read before the server has taken it."""
        self._unsent += self._outgoing.read()
        if self._unsent:
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
            except BlockingIOError:
                pass
            except OSError as error:
                return [*news, *self._failed(error.errno)]
        mask = WRITABLE if self._unsent else READ_MASK
        if mask != self._mask:
            self._mask = mask
            self._loop.watch(self.sock.fileno(), self._ready, mask)
        return news

    def _say_last(self) -> None:
        """An alert or the farewell, if there is one and the server takes it."""
        with contextlib.suppress(OSError):
            self.sock.send(self._outgoing.read())

    def _failed(self, error: int | None) -> Iterable[Event]:
        return self._end(self._number, outcome_of(error or 0), words_of(error or 0))


def _words(error: OSError) -> str:
    """OpenSSL's reason as an operator reads it: `wrong version number`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted, {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error.args[-1])).replace("_", " ").lower()
    return str(error.strerror).lower()
