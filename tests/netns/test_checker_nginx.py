"""HTTP_GET and SSL_GET against a real nginx."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_servers import Checker, check, page

from keepbus.config.model.checker import Check, CheckKind
from keepbus.contracts.checker import Verdict

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="needs nginx and openssl: nothing was tried about a real web server",
)

LARGE = bytes(range(256)) * 4 * 1024
"""1 MiB: many reads, with the end of the connection after the last one."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return not connection.connect_ex(("127.0.0.1", port))


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """nginx's ports: HTTP, HTTPS."""
    plain, secure = free_port(), free_port()
    folder = Path("/tmp") / f"kb-nginx-{os.getpid()}"  # nginx's own user reads it
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "index.html").write_bytes(b"hello")
    (folder / "site" / "large").write_bytes(LARGE)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=www.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;\n"
        "events {}\n"
        f"http {{ access_log off; server {{ root {folder}/site; listen 127.0.0.1:{plain};\n"
        f"listen 127.0.0.1:{secure} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; }} }}\n",
        encoding="ascii",
    )
    process = subprocess.Popen(["nginx", "-p", folder, "-c", file], stderr=subprocess.DEVNULL)
    try:
        while not listens(plain):
            assert process.poll() is None, "nginx ended"
            time.sleep(0.05)
        yield plain, secure
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_real_nginx_is_judged_by_status_and_digest(ports: tuple[int, int]) -> None:
    plain, secure = ports
    digest = hashlib.md5(LARGE, usedforsecurity=False).hexdigest()
    checks: list[Check] = []
    for scheme, kind, port in (("http", CheckKind.HTTP_GET, plain), ("https", CheckKind.SSL_GET, secure)):
        checks += [
            check(kind, port, name=f"{scheme} page", url=page("/")),
            check(kind, port, name=f"{scheme} 1.1", url=page("/"), http_protocol="1.1"),
            check(kind, port, name=f"{scheme} large", url=page("/large", digest=digest)),
            check(kind, port, name=f"{scheme} missing", url=page("/missing")),
        ]
    checks.append(check(CheckKind.SSL_GET, plain, name="no TLS", url=page("/")))
    names = [one.id for one in checks]
    checker = Checker(checks).run(seconds=10, until=lambda checker: checker.decided(*names))
    for scheme in ("http", "https"):
        assert checker.received(f"{scheme} page") == "200, 5 octets"
        assert checker.received(f"{scheme} 1.1") == "200, 5 octets"
        assert checker.received(f"{scheme} large") == f"200, {len(LARGE)} octets, MD5 {digest}"
        assert checker.received(f"{scheme} missing").startswith("404, ")
    down = {name for name in names if checker.last(name).verdict is Verdict.DOWN}
    assert down == {"http missing", "https missing", "no TLS"}
