"""One URL of an SSL_GET under way: the GET of http.py inside TLS.

As with keepalived any version of TLS that the library allows will do, and nobody verifies the certificate
unless `verify` of the `SSL` block asks for it: the check asks whether the server serves, not who it is. The
connection is closed without TLS's farewell, unless the page is tls_compliant.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import cast

from keepbus.config.model import Check, TlsClient
from keepbus.runtime.loop import READABLE, WRITABLE, Loop
from keepbus.runtime.machine import Event
from keepbus_checker.answer import Answer
from keepbus_checker.events import Outcome, ProbesAdvanced
from keepbus_checker.http import READS_PER_TURN, Page
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
    """A GET inside TLS. Each step watches for what the next one needs."""

    __slots__ = (
        "_answer",
        "_buffer",
        "_check",
        "_end",
        "_loop",
        "_number",
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
        self._unsent = page.request
        self._answer = Answer(page.url)
        self._check = check
        self._shown = shown
        self._buffer = buffer
        self._tls: ssl.SSLSocket
        loop.watch(sock.fileno(), self._connected, WRITABLE)

    def _connected(self, mask: int) -> Iterable[Event]:
        if error := error_of(self.sock, mask):
            return self._failed(error)
        check = self._check
        try:
            settings = context(check.tls, named=bool(check.sni_name))
        except Unusable as reason:
            return self._end(self._number, Outcome.LOCAL, str(reason))
        # Wrapping gives the descriptor a new owner, and closes it when that fails.
        self._loop.unwatch(self.sock.fileno())
        try:
            self.sock = self._tls = settings.wrap_socket(
                cast(socket.socket, self.sock),
                server_hostname=check.sni_name or None,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=not self._answer.url.tls_compliant,
            )
        except ValueError as error:
            unusable = f"sni_name {check.sni_name} cannot be sent ({error})"
            return self._end(self._number, Outcome.LOCAL, unusable)
        except OSError as error:
            return self._failed(error.errno)
        return self._handshake(mask)

    def _handshake(self, mask: int) -> Iterable[Event]:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(self.sock.fileno(), self._handshake, READABLE)
        except ssl.SSLWantWriteError:
            self._loop.watch(self.sock.fileno(), self._handshake, WRITABLE)
        except ssl.SSLError as error:
            return self._end(self._number, Outcome.FAILED, f"TLS handshake failed: {_words(error)}")
        except OSError as error:
            return self._failed(error.errno)
        else:
            return (*self._shown(self._tls.getpeercert(True) or b""), *self._send(mask))
        return (ProbesAdvanced((self._number,), "handshake"),)

    def _send(self, _mask: int) -> Iterable[Event]:
        sent, wanted = 0, WRITABLE
        try:
            sent = self._tls.send(self._unsent)
        except ssl.SSLWantReadError:
            wanted = READABLE
        except ssl.SSLWantWriteError:
            pass
        except ssl.SSLError as error:
            return self._end(self._number, Outcome.FAILED, f"TLS failed: {_words(error)}")
        except OSError as error:
            return self._failed(error.errno)
        self._unsent = self._unsent[sent:]
        fd = self.sock.fileno()
        if self._unsent:
            self._loop.watch(fd, self._send, wanted)
        else:
            self._loop.watch(fd, self._read)
        return (ProbesAdvanced((self._number,), "answer"),)

    def _read(self, _mask: int) -> Iterable[Event]:
        buffer = self._buffer
        reads = 0
        # What OpenSSL has decrypted wakes no epoll: it must not be left lying.
        while reads < READS_PER_TURN or self._tls.pending():
            reads += 1
            try:
                count = self._tls.recv_into(buffer)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLWantWriteError:
                self._loop.watch(self.sock.fileno(), self._read, READABLE | WRITABLE)
                break
            except ssl.SSLError as error:
                return self._end(self._number, Outcome.FAILED, f"TLS failed: {_words(error)}")
            except OSError as error:
                return self._failed(error.errno)
            if not count:
                if self._answer.url.tls_compliant:
                    # Ours is sent at once; the server's has come.
                    with contextlib.suppress(OSError):
                        self._tls.unwrap()
                passed, received = self._answer.end()
                return self._end(self._number, Outcome.PASSED if passed else Outcome.FAILED, received)
            if refusal := self._answer.feed(buffer[:count]):
                return self._end(self._number, Outcome.FAILED, refusal)
        return (ProbesAdvanced((self._number,), "more"),)

    def _failed(self, error: int | None) -> Iterable[Event]:
        return self._end(self._number, outcome_of(error or 0), words_of(error or 0))


def _words(error: OSError) -> str:
    """OpenSSL's reason as an operator reads it: `wrong version number`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted, {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error.args[-1])).replace("_", " ").lower()
    return str(error.strerror).lower()
