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
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import cast

from keepbus.config.model import TlsClient
from keepbus.runtime.loop import READABLE, WRITABLE
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbeAdvanced
from keepbus_checker.http import HANDSHAKE, READING, READS_PER_TURN, SENDING, HttpProbe, Session

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


class TlsProbe(HttpProbe):
    """A GET inside TLS."""

    __slots__ = ("_tls",)

    _session: Session
    _tls: ssl.SSLSocket

    def _connected(self) -> Iterable[Event]:
        name = self._session.server_name
        try:
            settings = context(self._session.settings, named=bool(name))
        except Unusable as reason:
            return self._end(self._number, Outcome.LOCAL, str(reason))
        # Wrapping gives the descriptor a new owner, and closes it when that fails.
        self._loop.unwatch(self.sock.fileno())
        try:
            self.sock = self._tls = settings.wrap_socket(
                cast(socket.socket, self.sock),
                server_hostname=name or None,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=not self._session.compliant,
            )
        except ValueError as error:
            unusable = f"sni_name {name} cannot be sent ({error})"
            return self._end(self._number, Outcome.LOCAL, unusable)
        except OSError as error:
            return self._failed(error.errno)
        self._step = HANDSHAKE
        return self._handshake()

    def _handshake(self) -> Iterable[Event]:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            mask = READABLE
        except ssl.SSLWantWriteError:
            mask = WRITABLE
        except ssl.SSLError as error:
            return self._end(self._number, Outcome.FAILED, f"TLS handshake failed: {_words(error)}")
        except OSError as error:
            return self._failed(error.errno)
        else:
            return (*self._session.shown(self._tls.getpeercert(True) or b""), *self._send())
        self._loop.watch(self.sock.fileno(), self.ready, mask)
        return (ProbeAdvanced(self._number, "handshake"),)

    def _send(self) -> Iterable[Event]:
        try:
            sent = self._tls.send(self._unsent)
        except ssl.SSLWantReadError:
            sent, mask = 0, READABLE
        except ssl.SSLWantWriteError:
            sent, mask = 0, WRITABLE
        except ssl.SSLError as error:
            return self._end(self._number, Outcome.FAILED, f"TLS failed: {_words(error)}")
        except OSError as error:
            return self._failed(error.errno)
        else:
            mask = WRITABLE
        self._unsent = self._unsent[sent:]
        self._step = SENDING if self._unsent else READING
        self._loop.watch(self.sock.fileno(), self.ready, mask if self._unsent else READABLE)
        return (ProbeAdvanced(self._number, "answer"),)

    def _read(self, mask: int) -> Iterable[Event]:
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
                self._loop.watch(self.sock.fileno(), self.ready, READABLE | WRITABLE)
                break
            except ssl.SSLError as error:
                return self._end(self._number, Outcome.FAILED, f"TLS failed: {_words(error)}")
            except OSError as error:
                return self._failed(error.errno)
            if not count:
                if self._session.compliant:
                    # Ours is sent at once; the server's has come.
                    with contextlib.suppress(OSError):
                        self._tls.unwrap()
                return self._closed()
            if refusal := self._answer.feed(buffer[:count]):
                return self._end(self._number, Outcome.FAILED, refusal)
        return (ProbeAdvanced(self._number, "more"),)


def _words(error: OSError) -> str:
    """OpenSSL's reason as an operator reads it: `wrong version number`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted, {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error.args[-1])).replace("_", " ").lower()
    return str(error.strerror).lower()
