"""Commands in the documentation are commands that there are; test_docs_operations.py runs some."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from keepbus.cli.__main__ import VERBS, main
from keepbus.config.compiler import compile_file

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "deploy" / "keepbus.service",
        *(ROOT / "docs").glob("**/*.md"),
        *(ROOT / "services").glob("*/README.md"),
    ]
)
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(rf"(?:^|[\s/=])keepbus ((?:{'|'.join(VERBS)})\b.*)")
_END = re.compile(r"\s+#|\s*[<>|;]")


def found(lines: list[str]) -> set[str]:
    told = filter(None, map(_COMMAND.search, lines))
    return {_END.split(match[1])[0] for match in told}


def blocks() -> list[tuple[str, str]]:
    """Whole commands: what a reader copies."""
    pairs = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = (
            text.splitlines() if page.suffix == ".service" else "\n".join(_FENCED.findall(text)).splitlines()
        )
        pairs |= {(str(page.relative_to(ROOT)), line) for line in found(lines)}
    return sorted(pairs)


def mentions() -> list[tuple[str, str]]:
    """Commands that sentences speak of, often shortened."""
    pairs = set()
    for page in PAGES:
        text = _FENCED.sub("", page.read_text(encoding="utf-8"))
        pairs |= {(str(page.relative_to(ROOT)), line) for line in found(_INLINE.findall(text))}
    return sorted(pairs)


@pytest.mark.parametrize(("page", "line"), blocks())
def test_a_command_that_is_shown_is_one(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    monkeypatch.setattr(f"keepbus.cli.{words[0]}.run", lambda _options: 0)
    try:
        status = main(words)
    except SystemExit as wrong:
        pytest.fail(f"{page}: `keepbus {line}` is no command ({wrong})")
    assert status == 0


@pytest.mark.parametrize(("page", "line"), mentions())
def test_an_option_that_is_spoken_of_is_one(page: str, line: str) -> None:
    verb, *words = line.replace("[", " ").replace("]", " ").split()
    parser = argparse.ArgumentParser()
    importlib.import_module(f"keepbus.cli.{verb}").add_arguments(parser)
    known = parser._option_string_actions
    assert [word for word in words if word.startswith("-") and word not in known] == [], page


def test_configurations_that_are_shown_have_no_findings(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```conf\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert shown
    for number, example in enumerate(shown):
        file = tmp_path / f"{number}.conf"
        file.write_text(example, encoding="utf-8")
        assert [each.text for each in compile_file(file).diagnostics] == []


def test_there_are_commands() -> None:
    assert len(blocks()) > 20
    assert len(mentions()) > 40
