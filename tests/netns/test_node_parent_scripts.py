"""startup_script and shutdown_script: before the first service and after the last (features 2, 11)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from node_harness import configuration, needs_namespaces, node, wire

from keepbus.cli.parent_scripts import before_services
from keepbus.config.model.configuration import GlobalDefs
from keepbus.config.model.scripts import Script

pytestmark = needs_namespaces


def script(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_they_run_around_the_life_of_the_services(tmp_path: Path) -> None:
    said = tmp_path / "said"
    # Each says whether a service of this network namespace holds a packet socket or protocol 112.
    count = script(tmp_path, "count", f'echo "$1 $(tail -n +2 /proc/net/raw | wc -l)" >> {said}')
    text = f'global_defs {{\n startup_script "{count} up" root\n shutdown_script "{count} down" root\n}}\n'
    with wire(1) as (namespace,), node(namespace, text + configuration(100)) as made:
        assert said.read_text(encoding="utf-8").splitlines() == ["up 0"]
        assert made.processes() != []
        assert made.stop() == 0
        assert made.processes() == []
        assert said.read_text(encoding="utf-8").splitlines() == ["up 0", "down 0"]


@pytest.mark.parametrize(
    ("text", "limit_s", "sentence"),
    [
        ("exit 0", 10, ""),
        ("exit 3", 10, "startup_script failed with status 3"),
        ("sleep 60 & sleep 60", 1, "startup_script was ended: it took more than 1 s"),
    ],
)
def test_its_end_changes_nothing_but_what_is_said(
    tmp_path: Path, text: str, limit_s: int, sentence: str
) -> None:
    said: list[str] = []
    path = script(tmp_path, "s", text)
    begun = time.monotonic()
    before_services(
        GlobalDefs(startup_script=Script(argv=(path,), user="root"), startup_script_timeout_s=limit_s),
        said.append,
    )
    assert [line for line in said if "not be changeable" not in line and "writable" not in line] == (
        [sentence] if sentence else []
    )
    assert time.monotonic() - begun < 10


def test_what_cannot_run_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    missing = str(tmp_path / "missing")
    before_services(GlobalDefs(startup_script=Script(argv=(missing,), user="root")), said.append)
    assert len(said) == 1
    assert said[0].startswith("startup_script is not run: ")
    assert os.path.basename(missing) in said[0]
