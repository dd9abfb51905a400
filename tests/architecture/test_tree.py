"""House rules that a machine can hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400


def tracked(*patterns: str) -> list[Path]:
    """Files of the tree that git knows or would add; every file outside a checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode == 0:
        return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]
    return [path for pattern in patterns for path in ROOT.rglob(pattern) if ".venv" not in path.parts]


def test_no_file_is_over_400_lines() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in tracked("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert not long


def test_no_file_is_called_utils_or_manager() -> None:
    assert not [path for path in tracked("*.py") if re.search(r"util|manager|helper|misc", path.stem)]


def test_versions_are_pinned_without_hosts() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_every_module_says_what_it_is() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in tracked("*.py")
        if (text := path.read_text(encoding="utf-8").strip()) and not text.startswith(('"""', "#!", 'r"""'))
    ]
    assert not silent


def test_test_files_have_different_names() -> None:
    names = [path.name for path in tracked("tests/**/test_*.py")]
    assert len(names) == len(set(names))


def test_decisions_have_different_numbers() -> None:
    pages = tracked("docs/decisions/*.md")
    assert len({page.name[:4] for page in pages}) == len(pages)
    assert not [
        page.name for page in pages if not page.read_text(encoding="utf-8").startswith(f"# {page.name[:4]} ")
    ]
