"""`keepbus digest`: the MD5 of a page, for the `digest` of HTTP_GET and SSL_GET (features 13.4: genhash).

Law of this file: the request and what of the answer is digested are those of the check (features 13.3), so
that the number can be copied into the file: no redirect is followed, no chunk decoded, no certificate looked
at, and without a virtual host the server is addressed with its port.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import ipaddress
import socket
import ssl
import sys
import time
import urllib.parse
from typing import NamedTuple

from keepbus.cli.terminal import clean, plural

ABOUT = "fetch a page once and print the MD5 that HTTP_GET and SSL_GET compare with `digest`"

_PORTS = {"http": 80, "https": 443}
_STEPS_TOTAL = 10
"""All steps together may take so many times what one may."""
_READ_OCTETS = 64 * 1024
_MOST_BODY_OCTETS = 64 * 1024 * 1024
"""The check reads no more either."""


class Page(NamedTuple):
    """What came."""

    digest: str
    """MD5 of the body, in lower case hex."""
    status: int
    length: int
    """Octets of the body."""


class Failed(Exception):
    """There is no page; the message says why."""


class Target(NamedTuple):
    """Where to ask, and for what."""

    tls: bool
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("url", metavar="URL", help="http://… or https://…")
    parser.add_argument(
        "--virtualhost", default="", metavar="HOST", help="the name in the Host line and in the TLS handshake"
    )
    parser.add_argument(
        "--http-protocol",
        choices=("1.0", "1.0C", "1.1"),
        default="1.0",
        help="as `http_protocol` of the check: 1.0C is 1.0 with `Connection: close` [%(default)s]",
    )
    parser.add_argument(
        "-t", "--timeout", type=_seconds, default=5.0, metavar="S", help="limit for each step [%(default)g s]"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="status and length too")


def run(options: argparse.Namespace) -> int:
    """0 when there is a digest, 1 when the page could not be fetched, 2 for a URL that can't be used."""
    try:
        target = parse(options.url)
        request = _request(target, options.virtualhost, options.http_protocol)
    except ValueError as error:
        print(f"keepbus: {error}", file=sys.stderr)
        return 2
    try:
        page = fetch(target, request, options.virtualhost, options.timeout)
    except Failed as error:
        print(f"keepbus: {clean(str(error))}", file=sys.stderr)
        return 1
    if options.verbose:
        print(f"status {page.status}\nlength {plural(page.length, 'octet')}\ndigest {page.digest}")
    else:
        print(page.digest)
    if not 200 <= page.status <= 299:
        print(
            f"keepbus: the status is {page.status}; a check takes that only where `status_code` says so",
            file=sys.stderr,
        )
    return 0


def parse(url: str) -> Target:
    """The parts of a URL; raises ValueError with a sentence."""
    if not url.isprintable() or " " in url:
        raise ValueError("the URL holds a blank or a control character; write it as %20 and the like")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url} is no URL ({error})") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url} is no URL of a page; write http://HOST[:PORT]/PATH or https://…")
    if parts.username is not None:
        raise ValueError("a check sends no user and password; leave them out of the URL")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], path)


def fetch(target: Target, request: bytes, virtualhost: str, timeout_s: float) -> Page:
    """Ask once; raises Failed. timeout_s is for each step."""
    who = target.authority
    try:
        with socket.create_connection((target.host, target.port), timeout_s) as plain:
            if not target.tls:
                return _exchange(plain, request, who, timeout_s)
            with _context().wrap_socket(plain, server_hostname=_server_name(target, virtualhost)) as tls:
                return _exchange(tls, request, who, timeout_s)
    except TimeoutError:
        raise Failed(f"{who} does not answer within {timeout_s:g} s") from None
    except socket.gaierror as error:
        raise Failed(f"the name {target.host} leads to no address ({error.strerror})") from None
    except ssl.SSLError as error:
        raise Failed(f"TLS with {who} fails ({error.reason or error})") from None
    except ConnectionRefusedError:
        raise Failed(f"nobody listens on {who}") from None
    except OSError as error:
        raise Failed(f"{who} cannot be reached ({error.strerror or error})") from None
    except ValueError as error:  # of a name that no resolver and no handshake takes
        name = virtualhost or target.host
        raise Failed(f"{name} cannot be the name of a host ({error})") from None


def _exchange(sock: socket.socket, request: bytes, who: str, timeout_s: float) -> Page:
    give_up_at_s = time.monotonic() + _STEPS_TOTAL * timeout_s
    sock.sendall(request)
    response = http.client.HTTPResponse(sock, method="GET")
    try:
        response.begin()
        # Chunks stay as they came: the check doesn't decode them.
        response.chunked = False
        digest = hashlib.md5(usedforsecurity=False)
        length = 0
        while octets := response.read(_READ_OCTETS):
            digest.update(octets)
            length += len(octets)
            if length > _MOST_BODY_OCTETS:
                raise Failed(f"the page of {who} is longer than 64 MiB; no check reads that")
            if time.monotonic() > give_up_at_s:
                raise Failed(f"{who} does not come to an end within {_STEPS_TOTAL * timeout_s:g} s")
    except http.client.RemoteDisconnected:
        raise Failed(f"{who} closes the connection without an answer") from None
    except http.client.HTTPException as error:
        raise Failed(f"{who} answers something that is not HTTP ({error})") from None
    finally:
        response.close()
    return Page(digest.hexdigest(), response.status, length)


def _request(target: Target, virtualhost: str, http_protocol: str) -> bytes:
    """As HTTP_GET writes it; raises ValueError."""
    host = virtualhost or target.authority
    if not host.isprintable() or " " in host:
        raise ValueError("the virtual host holds a blank or a control character")
    lines = [f"GET {target.path} HTTP/{http_protocol.removesuffix('C')}", "User-Agent: KeepAliveClient"]
    if http_protocol != "1.0":
        lines.append("Connection: close")
    lines.append(f"Host: {host}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "replace")


def _server_name(target: Target, virtualhost: str) -> str | None:
    """What the handshake names: a name, never an address."""
    name = urllib.parse.urlsplit(f"//{virtualhost or target.authority}").hostname
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return name
    return None


def _context() -> ssl.SSLContext:
    """Any version of TLS that the library allows, any certificate (features 13.3)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT")
    return context


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"more than 0 and at most 3600 seconds expected, not {text}")
    return seconds
