"""One URL of an SSL_GET under way: the GET of http.py inside TLS.

As with keepalived any version of TLS that the library allows will do, and nobody looks at the certificate:
the check asks whether the server serves, not who it is. The connection is closed without TLS's farewell.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from functools import cache
from typing import cast

from keepbus.runtime.loop import READABLE, WRITABLE
from keepbus.runtime.machine import Event
from keepbus_checker.events import Outcome, ProbeAdvanced
from keepbus_checker.http import HANDSHAKE, READING, READS_PER_TURN, SENDING, HttpProbe


@cache
def context() -> ssl.SSLContext:
    """The settings of all TLS probes; made when the first one needs it."""
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    settings.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    settings.set_ciphers("DEFAULT")
    return settings


class TlsProbe(HttpProbe):
    """A GET inside TLS; sends server_name in the handshake, unless it is empty."""

    __slots__ = ("_tls",)

    _tls: ssl.SSLSocket

    def _connected(self) -> Iterable[Event]:
        # Wrapping gives the descriptor a new owner, and closes it when that fails.
        self._loop.unwatch(self.sock.fileno())
        try:
            self.sock = self._tls = context().wrap_socket(
                cast(socket.socket, self.sock),
                server_hostname=self._server_name or None,
                do_handshake_on_connect=False,
            )
        except ValueError as error:
            unusable = f"sni_name {self._server_name} cannot be sent ({error})"
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
            return self._send()
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
                return self._closed()
            if refusal := self._answer.feed(buffer[:count]):
                return self._end(self._number, Outcome.FAILED, refusal)
        return (ProbeAdvanced(self._number, "more"),)


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason as an operator reads it: `wrong version number`."""
    return (error.reason or str(error.args[-1])).replace("_", " ").lower()
