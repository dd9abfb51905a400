"""`keepbus plan`: what is shown, and the exit status."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from config_text import INSTANCE, SERVER

from keepbus.cli.__main__ import main
from keepbus.cli.plan import as_text, summary
from keepbus.cli.terminal import Paint, visible
from keepbus.config.compiler import compile_file
from keepbus.config.model.configuration import Configuration
from keepbus.config.plan import compare
from keepbus.runtime import generation

PASSWORD = "authentication {\nauth_type PASS\nauth_pass sesame\n}"
REAL = "real_server 10.0.0.1 80 {\nweight 1\nTCP_CHECK {\n}\n}"
TEXT = f"{INSTANCE.replace('@', PASSWORD)}{SERVER.replace('@', REAL)}"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A run directory whose current generation is TEXT."""
    file = tmp_path / "keepalived.conf"
    file.write_text(TEXT, encoding="utf-8")
    generation.write(tmp_path / "run", compiled(file), file)
    return tmp_path / "run"


def compiled(file: Path) -> Configuration:
    configuration = compile_file(file).configuration
    assert configuration is not None
    return configuration


def changed(folder: Path, *replacements: tuple[str, str]) -> Path:
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    file = folder / "changed.conf"
    file.write_text(text, encoding="utf-8")
    return file


def test_nothing_changes(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-r", str(node)]) == 0
    out = capsys.readouterr().out
    assert out == f"generation 1 runs; a reload with {node.parent}/keepalived.conf would change nothing\n"


def test_what_changes(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = changed(
        node.parent, ("priority 100", "priority 90"), ("sesame", "secret"), ("weight 1", "weight 2")
    )
    assert main(["plan", str(file), "-r", str(node)]) == 1
    captured = capsys.readouterr()
    page = captured.out
    for line in (
        "  ~ VI_1  eth0 vrid 51\n      priority 100 → 90\n      auth_pass changes (not shown)\n",
        "  ~ [192.0.2.1]:tcp:80\n      ~ 10.0.0.1:80\n          weight 1 → 2\n",
        "changed: 1 instance, 1 virtual server, 1 real server\n",
    ):
        assert line in page, page
    assert "sesame" not in page + captured.err
    assert "secret" not in page + captured.err
    assert "\x1b" not in page


def test_errors_in_the_file(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = changed(node.parent, ("virtual_router_id 51", "priorty 3"))
    assert main(["plan", str(file), "-r", str(node)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean `priority`?" in captured.err


def test_without_a_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "-r", str(tmp_path)]) == 2
    assert "holds no compiled configuration; start the node with" in capsys.readouterr().err


def test_json(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = changed(node.parent, ("real_server 10.0.0.1", "real_server 10.0.0.2"))
    assert main(["plan", "--json", str(file), "-r", str(node)]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["generation"] == 1
    assert data["changes"] is True
    assert data["counts"] == {
        "virtual server": {"changed": 1},
        "real server": {"added": 1, "removed": 1},
        "check": {"added": 1, "removed": 1},
    }
    assert [part["name"] for part in data["items"][0]["parts"]] == ["10.0.0.1:80", "10.0.0.2:80"]


def test_the_node_is_asked_what_at_lines_compare_with(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = changed(node.parent, ("    priority 100", "    @d1 priority 100\n    @d2 priority 90"))
    generation.write(node, compile_config(file, "d1"), file, config_id="d1")
    assert main(["plan", "-r", str(node)]) == 0
    assert main(["plan", "-r", str(node), "--config-id", "d2"]) == 1
    assert "priority 100 → 90" in capsys.readouterr().out


def compile_config(file: Path, config_id: str) -> Configuration:
    configuration = compile_file(file, config_id=config_id).configuration
    assert configuration is not None
    return configuration


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_page_fits(node: Path, width: int) -> None:
    _, before = generation.load_all(node)
    empty = Configuration()
    for pair in ((before, empty), (empty, before)):
        lines = list(as_text(compare(*pair), 1, Path("/etc/keepalived/keepalived.conf"), Paint(True), width))
        assert max(map(visible, lines)) <= width
        plain = as_text(compare(*pair), 1, Path("/etc/keepalived/keepalived.conf"), Paint(False), width)
        assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines] == list(plain)


def test_the_same_consequence_is_said_once(node: Path) -> None:
    _, before = generation.load_all(node)
    (server,) = before.ipvs.virtual_servers
    plan = compare(before, Configuration())
    page = "\n".join(as_text(plan, 1, Path("x"), Paint(False), None))
    assert page.count("leaves the table at once") == 1
    assert "sends priority 0" in page
    assert summary(plan) == (
        "removed: 1 instance, 1 virtual address, 1 virtual server, "
        f"{len(server.real_servers)} real server, 1 check"
    )


def test_nothing_of_a_file_reaches_the_terminal_raw(node: Path) -> None:
    _, before = generation.load_all(node)
    (instance,) = before.vrrp.instances
    evil = dataclasses.replace(instance, name="\x1b[2J", interface="\x1b[2J")
    after = dataclasses.replace(before, vrrp=dataclasses.replace(before.vrrp, instances=(evil,)))
    for pair in ((before, after), (after, before)):
        assert "\x1b" not in "".join(as_text(compare(*pair), 1, Path("\x1b"), Paint(False), None))


def test_routes_rules_groups_trackers_and_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = "global_defs {\nscript_user root\n}\nvrrp_script chk {\nscript /bin/true\ninterval 2\n}\n"
    held = (
        "track_script {\nchk\n}\nvirtual_routes {\n10.7.0.0/16 dev eth0\n}\n"
        "virtual_rules {\nfrom 10.0.0.0/8 lookup 100 preference 5\n}"
    )
    group = "virtual_server_group WEB {\n10.9.0.1 80\n}\n"
    servers = SERVER.replace("@", REAL)
    text = f"{script}{INSTANCE.replace('@', held)}{group}{servers}"
    text += f"virtual_server group WEB {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{REAL}\n}}\n"
    text += f"virtual_server fwmark 7 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{REAL}\n}}\n"
    file = tmp_path / "keepalived.conf"
    file.write_text(text, encoding="utf-8")
    generation.write(tmp_path / "run", compiled(file), file)
    for old, new in (
        ("interval 2", "interval 3"),
        ("10.7.0.0", "10.8.0.0"),
        ("lookup 100", "lookup 101"),
        ("10.9.0.1 80", "10.9.0.1-3 80"),
        ("fwmark 7", "fwmark 8"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    assert main(["plan", "-r", str(tmp_path / "run")]) == 1
    out = capsys.readouterr().out
    for words in (
        "trackers\n  ~ script chk\n      interval 2 s → 3 s\n",
        "- 10.7.0.0/16 dev eth0",
        "+ 10.8.0.0/16 dev eth0",
        "table 101",
        "members 10.9.0.1:80 → 10.9.0.1:80 to 10.9.0.3\n",
        "- FWM 7  rr NAT",
        "+ FWM 8  rr NAT",
        "1 tracker",
    ):
        assert words in out, f"{words}\n{out}"
