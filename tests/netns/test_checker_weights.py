"""A whole node: what a script and a file say becomes the weight that ipvs enters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_harness import configuration, needs_namespaces, node, wire

pytestmark = needs_namespaces


@pytest.fixture
def namespace() -> Iterator[str]:
    with wire(1) as (name,):
        yield name


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not in pytest's directory, which is closed to other users.
    folder = Path("/tmp") / f"kb-weights-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_script_and_a_file_move_the_weight(namespace: str, folder: Path) -> None:
    script = folder / "ask"
    script.write_text(f'#!/bin/sh\nid -un\nexit "$(cat {folder}/status)"\n', encoding="utf-8")
    script.chmod(0o755)
    (folder / "status").write_text("42\n", encoding="ascii")
    servers = f"""
track_file bonus {{
    file {folder}/bonus
    weight 2
    init_file 3
}}
virtual_server 192.0.2.200 80 {{
    delay_loop 1
    warmup 0
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    real_server 192.0.2.77 80 {{
        weight 7
        MISC_CHECK {{
            misc_path "{script}"
            misc_dynamic
            user nobody
        }}
        FILE_CHECK {{
            track_file bonus
        }}
    }}
}}
"""
    with node(namespace, configuration(100) + servers, "--ipvs-driver", "dry-run") as made:

        def weight(wanted: int) -> None:
            made.hear(
                "state/ipvs/virtual_server/",
                lambda m: [server.weight for server in m.body.real_servers] == [wanted],
                15,
            )

        weight(40 + 2 * 3)
        (folder / "bonus").write_text("-5", encoding="ascii")
        weight(40 - 2 * 5)
        (folder / "status").write_text("0\n", encoding="ascii")
        found = made.hear("state/ipvs/virtual_server/", lambda m: m.body.weight_up == 0, 15)
        (server,) = found.body.real_servers
        assert (server.configured_weight, server.weight, server.verdict) == (7, 0, "up"), (
            "7 - 10 is 0 to the kernel"
        )
        (folder / "status").write_text("1\n", encoding="ascii")
        made.hear("state/ipvs/virtual_server/", lambda m: m.body.real_servers[0].verdict == "down", 15)
        (folder / "status").write_text("12\n", encoding="ascii")
        (folder / "bonus").unlink()
        weight(10)
