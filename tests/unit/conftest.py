"""The unit tests' host has the user that scripts run as by default, whatever the real one has."""

from __future__ import annotations

import pytest

from keepbus.config import compiler


@pytest.fixture(autouse=True)
def _host_with_a_script_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "has_script_user", lambda: True)
