"""docs/keywords.md, made from the tables: `python -m keepbus.config.keywords.page --write PAGE`."""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from pathlib import Path

from keepbus.config.keywords import FILES

SUPPORT = {
    "yes": "supported",
    "partial": "supported in part",
    "later": "not supported yet",
    "obsolete": "no effect",
}
_TITLES = {"-": "Top level"}
_HEAD = """\
# Keywords

Every keyword of keepalived and those that keepbus adds, by the block in which it stands; a name in
parentheses is the grammar of single lines. `keepbus check --keywords` prints the same. The page is made
from the tables that the compiler reads: `python -m keepbus.config.keywords.page --write docs/keywords.md`.

- **supported in part**: the note says what is missing. **no effect**: rightly so, and the note says why.
  **not supported yet**: the line is refused or ignored, and told.
- **if it can't be used** is what a line costs that is misspelt, has a bad value or is not supported: a
  *warning*; an *error*, which `--permissive` turns into a warning; or *refused*, an error in any case.
"""


def page() -> str:
    """The whole page."""
    blocks: dict[str, list[str]] = {}
    for name in FILES:
        text = importlib.resources.files(__package__).joinpath(f"{name}.tsv").read_text(encoding="utf-8")
        for line in text.splitlines()[1:]:
            block, keyword, argument, _, status, ignored, note = line.split("\t")
            cells = (f"`{keyword}`", argument, support(status), ignored, "" if note == "-" else note)
            blocks.setdefault(block, []).append("| " + " | ".join(map(_cell, cells)) + " |")
    out = [_HEAD]
    for block, rows in blocks.items():
        out += [
            f"## {_TITLES.get(block) or f'`{block}`'}",
            "",
            "| keyword | argument | support | if it can't be used | note |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(out).rstrip() + "\n"


def support(status: str) -> str:
    """The status column in words."""
    return SUPPORT.get(status) or f"deprecated, use `{status.removeprefix('alias ')}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m keepbus.config.keywords.page", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="where")
    options = parser.parse_args()
    if options.write is None:
        sys.stdout.write(page())
    else:
        options.write.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
