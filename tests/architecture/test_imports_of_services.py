"""A service loads its own part of the model and no other's: each part costs every process time and memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = """
import sys
import keepbus_{name}.__main__
print(*(each.rpartition(".")[2] for each in sys.modules if each.startswith("keepbus.config.model.")))
"""


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hub", set()),
        ("audit", set()),
        ("watchdog", set()),
        ("ipvs", {"ipvs", "scripts"}),
        ("notify", {"notify", "scripts"}),
        ("vrrp", {"vrrp", "routes", "scripts", "tracking"}),
        ("checker", {"checker", "scripts", "tracking"}),
    ],
)
def test_a_service_loads_its_own_part_of_the_model(name: str, parts: set[str]) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED.format(name=name)], capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) == parts
