"""`keepbus digest` against servers on the loopback, and beside what HTTP_GET digests of the same answer.

Needs neither root nor a namespace."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keepbus_checker.answer import Answer, request

from keepbus.cli.__main__ import main
from keepbus.cli.digest import Target, _request, _server_name, parse
from keepbus.config.model.checker import StatusRange, Url

BODY = b"hello\n" * 1000
PLAIN = b"HTTP/1.0 200 OK\r\nServer: t\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\n\r\n"
LIMITED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more than was said"
CUT_SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers every connection with the same octets and notes what was asked."""

    def __init__(self, answer: bytes | None, wrap: Callable[[socket.socket], socket.socket]) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._wrap = wrap
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            heard = b""
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                wrapped = self._wrap(connection)
                while b"\r\n\r\n" not in heard:
                    octets = wrapped.recv(65536)
                    if not octets:
                        break
                    heard += octets
                else:
                    self.asked.append(heard)
                    if self._answer is None:  # say nothing until the other one goes
                        wrapped.recv(1)
                    else:
                        wrapped.sendall(self._answer)
                    wrapped.shutdown(socket.SHUT_RDWR)
                    wrapped.close()
                    continue
            if heard == b"":
                return

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)):
            pass  # who says nothing ends it
        self._thread.join(20)
        self._listener.close()


@contextlib.contextmanager
def server(
    answer: bytes | None, wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
) -> Iterator[Server]:
    running = Server(answer, wrap)
    try:
        yield running
    finally:
        running.close()


def digested_by_the_check(answer: bytes) -> str:
    """What HTTP_GET says the digest is: told when it is not the wanted one."""
    reader = Answer(Url(path="/", digest="0" * 32, status_codes=(StatusRange(low=100, high=599),)))
    reader.feed(answer)
    _, received = reader.end()
    return received.rpartition("MD5 ")[2].split()[0]


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, LIMITED, CUT_SHORT, EMPTY])
def test_the_digest_is_what_the_check_compares(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with server(answer) as running:
        assert main(["digest", f"http://127.0.0.1:{running.port}/"]) == 0
    assert capsys.readouterr().out.strip() == digested_by_the_check(answer)


@pytest.mark.skipif(not shutil.which("genhash"), reason="keepalived's genhash is not installed: not compared")
@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, LIMITED, CUT_SHORT, EMPTY])
def test_genhash_asks_and_answers_the_same(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with server(answer) as running:
        command = ("genhash", "-s", "127.0.0.1", "-p", str(running.port), "-u", "/x", "-t", "20")
        theirs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert main(["digest", f"http://127.0.0.1:{running.port}/x"]) == 0
    assert capsys.readouterr().out.strip() == theirs.stdout.strip()
    assert running.asked[0] == running.asked[1]


def test_it_is_the_md5_of_the_body(capsys: pytest.CaptureFixture[str]) -> None:
    with server(PLAIN) as running:
        assert main(["digest", "-v", f"http://127.0.0.1:{running.port}/a?b=c"]) == 0
    expected = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert capsys.readouterr().out == f"status 200\nlength 6000 octets\ndigest {expected}\n"
    assert running.asked[0].startswith(b"GET /a?b=c HTTP/1.0\r\n")


@pytest.mark.parametrize("http_protocol", ["1.0", "1.0C", "1.1"])
@pytest.mark.parametrize("virtualhost", ["", "www.example.com"])
def test_the_request_is_that_of_the_check(http_protocol: str, virtualhost: str) -> None:
    target = Target(False, "192.0.2.1", 80, "/x")
    host = virtualhost or "192.0.2.1:80"
    assert _request(target, virtualhost, http_protocol) == request("/x", host, http_protocol)


def test_an_error_page_has_a_digest_and_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with server(b"HTTP/1.0 302 Found\r\nLocation: /elsewhere\r\n\r\nmoved") as running:
        assert main(["digest", f"http://127.0.0.1:{running.port}"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{hashlib.md5(b'moved', usedforsecurity=False).hexdigest()}\n"
    assert "the status is 302" in captured.err
    assert len(running.asked) == 1  # nobody followed


def test_tls_with_a_certificate_of_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "1", "-subj", "/CN=nobody", "-keyout", str(key), "-out", str(certificate)),
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with server(PLAIN, lambda plain: context.wrap_socket(plain, server_side=True)) as running:
        url = f"https://127.0.0.1:{running.port}/"
        assert main(["digest", url]) == 0
        assert main(["digest", url, "--virtualhost", "www.example.com"]) == 0
    first, second = capsys.readouterr().out.split()
    assert first == second == hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert names == [None, "www.example.com"]
    assert b"Host: www.example.com\r\n" in running.asked[1]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closes the connection without an answer"),
        (b"SSH-2.0-x\r\n\x1b[2J\r\n", "answers something that is not HTTP"),
        (None, "does not answer within 0.2 s"),
    ],
)
def test_servers_that_do_not_serve(
    answer: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(answer) as running:
        assert main(["digest", "-t", "0.2", f"http://127.0.0.1:{running.port}/"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert "\x1b" not in captured.err


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        port = taken.getsockname()[1]
        assert main(["digest", f"http://127.0.0.1:{port}/"]) == 1
    assert capsys.readouterr().err == f"keepbus: nobody listens on 127.0.0.1:{port}\n"


def test_tls_with_a_server_that_knows_none(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert main(["digest", f"https://127.0.0.1:{listener.getsockname()[1]}/"]) == 1
        thread.join(20)
    assert "TLS with 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    ["", "www.example.com", "ftp://example.com/", "http:///x", "http://h:99999/", "http://h/a b", "http://u:p@h/",
     "http://h/\r\nX: y", "http://[::1/"],
)  # fmt: skip
def test_what_is_no_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digest", url]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("keepbus: ")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("virtualhost", [".example.com", "a..b", "[::1", "x" * 70 + ".com"])
def test_names_that_no_handshake_takes(virtualhost: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        assert main(["digest", "-t", "0.2", url, "--virtualhost", virtualhost]) == 1
    error = capsys.readouterr().err
    assert f"{virtualhost} cannot be the name of a host" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("virtualhost", "name"),
    [
        ("www.example.com:8443", "www.example.com"),
        ("[2001:db8::1]:443", None),
        ("192.0.2.1", None),
        ("", "h"),
    ],
)
def test_what_the_handshake_names(virtualhost: str, name: str | None) -> None:
    assert _server_name(Target(True, "h", 443, "/"), virtualhost) == name


def test_a_virtual_host_adds_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digest", "http://127.0.0.1/", "--virtualhost", "a\r\nX: y"]) == 2
    assert "virtual host" in capsys.readouterr().err


def test_parts_of_a_url() -> None:
    assert parse("https://[2001:db8::1]/a?b#c") == Target(True, "2001:db8::1", 443, "/a?b")
    assert parse("https://[2001:db8::1]/").authority == "[2001:db8::1]:443"
    assert parse("http://h:8080") == Target(False, "h", 8080, "/")
