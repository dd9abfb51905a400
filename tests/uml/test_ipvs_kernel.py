"""The kernel driver against a real IPVS (conformance sections 16 and 17)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
Scenario = Callable[[str], Any]
VECTORS = json.loads((Path(__file__).parents[1] / "contract" / "ipvs-vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_kernel_answers_each_vector_as_recorded(scenario: Scenario, vector: dict[str, Any]) -> None:
    assert scenario("scenario_vectors")[vector["name"]] == vector["kernel_6_1"]
