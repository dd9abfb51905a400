"""Compile a file and tell what was found: what `up` and `reload` do before anything else."""

from __future__ import annotations

import sys
from pathlib import Path

from keepbus.config.compiler import compile_file
from keepbus.config.model import Configuration


def compile_and_tell(path: Path, *, permissive: bool) -> Configuration | None:
    """The compiled configuration, None when it has errors; the findings are on standard error."""
    compiled = compile_file(path, permissive=permissive)
    for found in compiled.diagnostics:
        place = found.place
        print(f"{place.file}:{place.line}:{place.column}: {found.severity}: {found.text}", file=sys.stderr)
    return compiled.configuration
