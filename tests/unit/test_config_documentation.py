"""docs/configuration.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keepbus.cli.__main__ import main
from keepbus.config.keywords import blocks
from keepbus.config.source import LONGEST_LINE, MOST_OCTETS, MOST_STATEMENTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--config-id"}
    assert options == set(re.findall(r"^\| `(--[a-z-]+)` \|", PAGE, re.MULTILINE))


def test_limits() -> None:
    (row,) = re.findall(r"^\| more than (.*?) \| read", PAGE, re.MULTILINE)
    assert row == (
        f"{MOST_OCTETS >> 20} MiB, {MOST_STATEMENTS:,} lines and braces, "
        f"or {LONGEST_LINE:,} characters in a line"
    )


@pytest.mark.parametrize("keyword", ["unicast_peer", "auth_hmac", "native_ipv6"])
def test_what_is_refused_in_any_case(keyword: str) -> None:
    assert blocks()["vrrp_instance",][keyword].ignored == "refused"
