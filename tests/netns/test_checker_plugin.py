"""A plug-in checker in a package of its own: its keyword, its verdicts, and what it can't do to others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import Checker, Server, answer

from keepbus.config import keywords, plugins
from keepbus.config.compiler import Compiled, compile_file
from keepbus.contracts.checker import Verdict

EXAMPLE = Path(__file__).parent / "plugin_example"
TEXT = """
virtual_server 192.0.2.1 80 {{
    delay_loop 1
    retry 1
    warmup 0
    lb_algo rr
    lb_kind NAT
    protocol TCP
{servers}
}}
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example's folder is where packages are, here and in processes that are started."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    plugins.installed.cache_clear()
    keywords.blocks.cache_clear()
    yield
    monkeypatch.undo()
    plugins.installed.cache_clear()
    keywords.blocks.cache_clear()


def compiled(folder: Path, *checks: str) -> Compiled:
    servers = "\n".join(
        f"real_server 127.0.8.{index} 80 {{\n{check}\n}}" for index, check in enumerate(checks, 1)
    )
    file = folder / "keepalived.conf"
    file.write_text(TEXT.format(servers=servers), encoding="utf-8")
    return compile_file(file)


def at(port: int, body: str = "", keyword: str = "BANNER_CHECK") -> str:
    return f"{keyword} {{\nconnect_ip 127.0.0.1\nconnect_port {port}\nconnect_timeout 1\n{body}\n}}"


def polite(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"hello the")
    time.sleep(0.1)
    connection.sendall(b"re\r\n")
    if connection.recv(100) == b"how are you\r\n":
        connection.sendall(b"well\r\n")


def endless(connection: socket.socket, _request: bytes) -> None:
    while True:
        connection.sendall(bytes(65536))


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_verdicts_and_what_is_its_own_fault(installed: None, tmp_path: Path) -> None:
    good, mute = Server(polite, reads=False), Server(lambda *_: time.sleep(9), reads=False)
    flood, rude = Server(endless, reads=False), Server(answer(b"\x1b[2J\n"), reads=False)
    cut = Server(answer(b"hel"), reads=False)
    cases = {
        at(good.port): "greeting hello there",
        at(good.port, "greeting hello"): "greeting hello there",
        at(good.port, 'ask "how are you"\nanswer well'): "answer well",
        at(good.port, "greeting bye"): "greeting hello there",
        at(good.port, 'ask "how are you"\nanswer bad'): "answer well",
        at(mute.port): "no answer within 1 s",
        at(flood.port): "more than 262144 octets came",
        at(rude.port, "greeting x"): "greeting �[2J",
        at(cut.port, "greeting x"): "greeting cut off",
        at(refused_port()): "connection refused",
        at(rude.port, "how raises", "BROKEN_CHECK"): None,
        at(rude.port, "how yields", "BROKEN_CHECK"): None,
        at(rude.port, "how returns", "BROKEN_CHECK"): None,
        at(rude.port, "how goes-on", "BROKEN_CHECK"): None,
    }
    found = compiled(tmp_path, *cases)
    assert found.diagnostics == ()
    assert found.configuration is not None
    section = found.configuration.checker
    names = [check.id for check, received in zip(section.checks, cases.values(), strict=True) if received]
    checker = Checker(section=section).run(seconds=8, until=lambda checker: checker.decided(*names))
    for index, (check, received) in enumerate(zip(section.checks, cases.values(), strict=True)):
        if received is None:
            assert all(told.verdict is Verdict.UNKNOWN for told in checker.verdicts.get(check.id, ()))
        else:
            assert checker.received(check.id) == received
            assert checker.last(check.id).verdict is (Verdict.UP if index < 3 else Verdict.DOWN)
            assert checker.last(check.id).kind == "BANNER_CHECK"
    logged = " ".join(getattr(effect, "text", "") for effect in checker.effects)
    for fault in ("KeyError", "it yields str instead", "it returns no (bool, str)", "the server has closed"):
        assert fault in logged
    for server in (good, mute, flood, rude, cut):
        server.close()


def test_its_words_are_checked_like_all_others(installed: None, tmp_path: Path) -> None:
    for body, code in (("gretting x", "unknown-keyword"), ("greeting", "missing-argument")):
        assert {found.code for found in compiled(tmp_path, at(1, body)).diagnostics} == {code}
    (broken,) = compiled(tmp_path, at(1, "how not", "BROKEN_CHECK")).errors
    assert broken.code == "bad-value"
    (missing,) = compiled(tmp_path, at(1, "", "MISSING_CHECK")).errors
    assert "keepbus_banner_check_of_nobody:Check can't be loaded (ModuleNotFoundError" in str(missing)


def test_without_the_package_nobody_knows_the_keyword(tmp_path: Path) -> None:
    assert any(found.code == "unknown-keyword" for found in compiled(tmp_path, at(1)).diagnostics)


def test_the_command_and_the_service_know_it(installed: None, tmp_path: Path) -> None:
    server = Server(polite, reads=False)
    found = compiled(tmp_path, at(server.port, "greeting hello"))
    command = [sys.executable, "-m", "keepbus.cli", "check", str(tmp_path / "keepalived.conf")]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0
    assert found.configuration is not None
    node = Node(tmp_path / "run")
    try:
        (check,) = found.configuration.checker.checks
        node.start([check])
        node.wait(lambda: any(told and told.verdict is Verdict.UP for told in node.bodies("verdict")))
    finally:
        node.close()
        server.close()
