"""SSL_GET against servers with certificates of all sorts, made by openssl for the test."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checker_authority import Authority
from checker_servers import HELLO, Checker, Server, answer, check
from keepbus_checker.effects import StartProbes

from keepbus.config.model.checker import CheckKind, TlsClient, Url
from keepbus.contracts.checker import Certificate, CertificateExpiring, Verdict

DAY_NS = 86_400_000_000_000
NAME = "www.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    authority = Authority(folder)
    for name, days in (("good", 20), ("soon", 5), ("expired", -1)):
        authority.issue(name, days=days, common_name=NAME)
    authority.issue("wrong", common_name="www.other")
    authority.issue("client", password="secret")
    Authority(folder, "other").issue("stranger", common_name=NAME)
    return folder


@pytest.fixture
def listen(folder: Path) -> Iterator[Callable[..., int]]:
    servers = []

    def listen(name: str, wants: str = "", behaviour: object = None) -> int:
        context = Authority.server(_In(folder), name, wants)  # type: ignore[arg-type]
        servers.append(Server(behaviour or answer(HELLO), tls=context))  # type: ignore[arg-type]
        return servers[-1].port

    yield listen
    for server in servers:
        server.close()


class _In:
    def __init__(self, folder: Path) -> None:
        self._folder = folder


def probe(port: int, **settings: object) -> tuple[Verdict, str, Checker]:
    one = check(CheckKind.SSL_GET, port, name="one", **settings)
    checker = Checker([one]).run(seconds=6, until=lambda checker: checker.decided("one"))
    told = checker.last("one")
    return told.verdict, checker.received("one"), checker


def test_without_verify_any_certificate_will_do(listen: Callable[..., int], folder: Path) -> None:
    tls = TlsClient(ca=f"{folder}/authority.pem")
    names = ("good", "soon", "expired", "wrong", "stranger")
    checks = [
        check(CheckKind.SSL_GET, listen(name), name=name, tls=tls, sni_name="www.example") for name in names
    ]
    checker = Checker(checks).run(seconds=6, until=lambda checker: checker.decided(*names))
    assert {checker.received(name) for name in names} == {"200, 5 octets"}


VERIFIED = {
    ("good", NAME): "",
    ("good", ""): "",
    ("soon", NAME): "",
    ("wrong", ""): "",
    ("wrong", NAME): "Hostname mismatch, certificate is not valid for 'www.example'.",
    ("expired", NAME): "certificate has expired",
    ("stranger", NAME): "unable to get local issuer certificate",
}


def test_verify(listen: Callable[..., int], folder: Path) -> None:
    tls = TlsClient(ca=f"{folder}/authority.pem", verify=True)
    names = ["/".join(case) for case in VERIFIED]
    checks = [
        check(CheckKind.SSL_GET, listen(name), name=f"{name}/{sni_name}", tls=tls, sni_name=sni_name)
        for name, sni_name in VERIFIED
    ]
    checker = Checker(checks).run(seconds=6, until=lambda checker: checker.decided(*names))
    for name, refusal in zip(names, VERIFIED.values(), strict=True):
        expected = (
            f"TLS handshake failed: certificate not accepted, {refusal}" if refusal else "200, 5 octets"
        )
        assert checker.received(name) == expected


def test_a_server_that_wants_a_certificate_is_shown_one(listen: Callable[..., int], folder: Path) -> None:
    port = listen("good", wants="authority")
    client = {"certificate": f"{folder}/client.pem", "key": f"{folder}/client.key"}
    assert probe(port)[0] is Verdict.DOWN
    assert probe(port, tls=TlsClient(**client, password="secret"))[:2] == (Verdict.UP, "200, 5 octets")
    assert probe(port, tls=TlsClient(certificate=client["certificate"]))[0] is Verdict.DOWN


def test_files_that_cannot_be_used_are_this_hosts_failure(listen: Callable[..., int], folder: Path) -> None:
    client, key = f"{folder}/client.pem", f"{folder}/client.key"
    wrong = {
        "nowhere": TlsClient(ca="/nowhere"),
        "password": TlsClient(certificate=client, key=key, password="wrong"),
        "key": TlsClient(certificate=client, key=f"{folder}/good.key"),
    }
    port = listen("good")
    checks = [check(CheckKind.SSL_GET, port, name=name, tls=tls) for name, tls in wrong.items()]
    checker = Checker(checks).run(seconds=2)
    assert checker.failures == {}
    assert all(told.verdict is Verdict.UNKNOWN for name in wrong for told in checker.verdicts.get(name, ()))
    said = sorted(getattr(effect, "text", "").partition(": ")[2] for effect in checker.effects)
    ca, mismatch, password = (sentence for sentence in said if "of `SSL` cannot be used" in sentence)
    assert ca == "ca /nowhere of `SSL` cannot be used (no such file or directory)"
    assert mismatch.startswith(f"certificate {client} with key {key} of `SSL` cannot be used (")
    assert password == (
        f"certificate {client} with key {folder}/good.key of `SSL` cannot be used (key values mismatch)"
    )


def test_a_renewed_client_certificate_is_taken_at_once(listen: Callable[..., int], tmp_path: Path) -> None:
    ours, others = Authority(tmp_path), Authority(tmp_path, "other")
    others.issue("client")
    ours.issue("good")
    server = Server(answer(HELLO), tls=ours.server("good", "authority"))
    tls = TlsClient(certificate=f"{tmp_path}/client.pem", key=f"{tmp_path}/client.key")
    one = check(CheckKind.SSL_GET, server.port, name="one", tls=tls)
    checker = Checker([one]).run(seconds=6, until=lambda checker: checker.decided("one"))
    assert checker.last("one").verdict is Verdict.DOWN
    ours.issue("client")
    checker.run(seconds=6, until=lambda checker: checker.last("one").verdict is Verdict.UP)
    assert checker.last("one").verdict is Verdict.UP
    server.close()


def certificates(checker: Checker, kind: type) -> list[Certificate | CertificateExpiring]:
    return [told for told in checker.told if isinstance(told, kind)]


def test_until_when_a_certificate_is_good_is_told_once(listen: Callable[..., int]) -> None:
    days = {"good": 20, "soon": 5, "expired": -1}
    checks = [check(CheckKind.SSL_GET, listen(name), name=name, delay_loop_us=50_000) for name in days]
    checker = Checker(checks).run(
        seconds=8, until=lambda checker: sum(isinstance(e, StartProbes) for e in checker.effects) > 20
    )
    shown = {told.check: told for told in certificates(checker, Certificate)}
    assert len(certificates(checker, Certificate)) == 3
    for one in checks:
        told = shown[one.id]
        assert isinstance(told, Certificate)
        assert (told.subject, told.issuer, told.days_left) == ("CN=www.example", "CN=authority", days[one.id])
        assert told.target == f"127.0.0.1:{one.port}"
        assert abs(told.not_after_ns - time.time_ns() - days[one.id] * DAY_NS) < DAY_NS
    warned = [told.check for told in certificates(checker, CertificateExpiring)]
    assert sorted(warned) == ["expired", "soon"]


def unclean(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(HELLO)


def farewell(seen: list[str]) -> Callable[[socket.socket, bytes], None]:
    def behaviour(connection: socket.socket, _request: bytes) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(HELLO)
        try:
            connection.unwrap()
            seen.append("farewell")
        except (OSError, ValueError):
            seen.append("none")

    return behaviour


def test_tls_compliant_wants_the_farewell_and_gives_it(listen: Callable[..., int]) -> None:
    def pages(compliant: bool) -> tuple[Url, ...]:
        return (Url(path="/", status_codes=codes, tls_compliant=compliant),)

    codes = check(CheckKind.SSL_GET, 1).urls[0].status_codes
    for compliant, verdict, ending in ((False, Verdict.UP, "none"), (True, Verdict.UP, "farewell")):
        seen: list[str] = []
        port = listen("good", behaviour=farewell(seen))
        assert probe(port, urls=pages(compliant))[0] is verdict
        deadline = time.monotonic() + 5
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert seen[0] == ending
    port = listen("good", behaviour=unclean)
    assert probe(port, urls=pages(False))[0] is Verdict.UP
    verdict, received, _ = probe(port, urls=pages(True))
    assert verdict is Verdict.DOWN
    assert received.startswith("TLS failed: ")


def test_a_password_is_part_of_a_check_and_not_shown() -> None:
    one, other = (check(CheckKind.SSL_GET, 1, tls=TlsClient(password=word)) for word in ("x", "y"))
    assert one != other
    assert "secret" not in repr(TlsClient(password="secret"))
