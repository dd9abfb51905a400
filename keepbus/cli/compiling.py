"""Compile a file and tell what was found: what `up` and `reload` do before anything else."""

from __future__ import annotations

import sys
from pathlib import Path

from keepbus.cli.findings import render
from keepbus.cli.terminal import Paint, colour_wanted
from keepbus.config.compiler import compile_file
from keepbus.config.model import Configuration


def compile_and_tell(path: Path, *, permissive: bool, config_id: str = "") -> Configuration | None:
    """The compiled configuration, None when it has errors; the findings are on standard error."""
    compiled = compile_file(path, permissive=permissive, config_id=config_id)
    if compiled.diagnostics:
        for line in render(compiled, Paint(colour_wanted(sys.stderr))):
            print(line, file=sys.stderr)
    return compiled.configuration
