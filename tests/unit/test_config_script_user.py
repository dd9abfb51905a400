"""Scripts for which nobody says as whom they run (docs/decisions/0501)."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from config_text import INSTANCE, SERVER, codes, compile_text, find

from keepbus.config import compiler
from keepbus.config.diagnostics import Severity

ASK = compiler.has_script_user
"""The real one: the tests replace it."""

NOTIFY = "notify_master /x/master\n    notify_backup /x/backup"
MISC = "real_server 10.0.0.1 80 {\nMISC_CHECK {\nmisc_path /x/misc\n@\n}\n}"


@pytest.fixture(autouse=True)
def _host_without_a_script_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "has_script_user", lambda: False)


def with_scripts(scripts: str, before: str = "") -> str:
    return f"{before}\n{INSTANCE.replace('@', scripts)}"


def test_one_finding_for_all_scripts_of_a_file(tmp_path: Path) -> None:
    text = with_scripts(NOTIFY) + SERVER.replace("@", MISC.replace("@", ""))
    found = find(compile_text(tmp_path, text), "no-script-user")
    assert found.severity is Severity.WARNING
    assert found.place.excerpt.strip() == "notify_master /x/master"
    assert found.more == 2
    assert "script_user USER" in found.help


@pytest.mark.parametrize(
    ("scripts", "before"),
    [
        (NOTIFY, "global_defs {\nscript_user nobody\n}"),
        ("notify_master /x/master nobody", ""),
        ("", ""),
    ],
)
def test_who_is_named_is_enough(tmp_path: Path, scripts: str, before: str) -> None:
    assert "no-script-user" not in codes(compile_text(tmp_path, with_scripts(scripts, before)))


def test_the_user_of_a_check_stands_in_its_block(tmp_path: Path) -> None:
    text = SERVER.replace("@", MISC.replace("@", "user nobody"))
    assert "no-script-user" not in codes(compile_text(tmp_path, text))


def test_a_host_that_has_the_default_user_needs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "has_script_user", lambda: True)
    assert "no-script-user" not in codes(compile_text(tmp_path, with_scripts(NOTIFY)))


def test_the_host_is_asked_for_keepalived_script(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"keepalived_script"}

    def look_up(name: str) -> None:
        if name not in known:
            raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", look_up)
    assert ASK()
    known.clear()
    assert not ASK()
