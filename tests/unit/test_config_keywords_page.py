"""docs/keywords.md against the tables and against keepalived."""

from __future__ import annotations

import re
from pathlib import Path

from keepbus.config.keywords import blocks
from keepbus.config.keywords.page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "keywords.md"


def test_the_page_is_made_from_the_tables_as_they_are() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), (
        "a keyword changed: run `python -m keepbus.config.keywords.page --write docs/keywords.md`"
    )


def test_every_keyword_of_the_compiler_is_on_the_page() -> None:
    told = set(re.findall(r"^\| `(.+?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    compiled = {keyword.replace("|", "\\|") for rows in blocks().values() for keyword in rows}
    assert told == compiled


def test_what_has_no_effect_says_why() -> None:
    rows = re.findall(r"^\| `.+?` \|.*\| no effect \|.*\| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 20
    assert all(rows)
