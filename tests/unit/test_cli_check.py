"""The `keepbus` command, and `keepbus check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from keepbus.cli.__main__ import VERBS, main

SEED = Path(__file__).resolve().parents[1] / "seed"


def test_exit_status_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = tmp_path / "clean.conf"
    clean.write_text("global_defs {\n router_id one\n}\n", encoding="utf-8")
    assert main(["check", str(clean)]) == 0
    assert capsys.readouterr().out.endswith("nothing to complain of\n")
    assert main(["check", str(SEED / "single-drct2.conf")]) == 1
    assert main(["check", str(SEED / "single-drct1.conf")]) == 2
    assert main(["check", str(SEED / "single-drct1.conf"), "--permissive"]) == 1
    assert main(["check", str(tmp_path / "absent.conf")]) == 2


def test_json_is_a_list_on_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(SEED / "nat-drct2.conf")]) == 2
    found = json.loads(capsys.readouterr().out)
    assert {item["severity"] for item in found} == {"error", "warning"}
    assert {item["code"] for item in found} >= {"missing-brace", "missing-virtual-router-id"}


def test_keywords(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--keywords"]) == 0
    out = capsys.readouterr().out.splitlines()
    (line,) = [line.split() for line in out if line.split()[:2] == ["vrrp_instance", "advert_int"]]
    assert line == ["vrrp_instance", "advert_int", "seconds", "0.01..255", "supported"]
    assert out[-1].startswith("661 keywords: ")


@pytest.mark.parametrize("words", [["check"], ["check", "--keywords", "file"], ["no-such-verb"], []])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: keepbus" in capsys.readouterr().err


def test_the_overview_names_every_verb_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    folder = Path(sys.modules["keepbus.cli"].__path__[0])
    for verb in VERBS:
        assert (f"\n    {verb} " in out) == (folder / f"{verb}.py").exists()


@pytest.mark.parametrize("verb", ["status", "tap"])
def test_a_verb_that_only_reads_the_bus_loads_no_compiler(verb: str) -> None:
    script = (
        "import sys\n"
        "from keepbus.cli.__main__ import main\n"
        f"sys.argv = ['keepbus', '{verb}', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in sys.modules if name.startswith('keepbus.config.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -m keepbus.cli check --keywords | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert "Traceback" not in done.stderr
