"""`strict_mode` and `vrrp_strict` (features 5.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, instance, is_error, only_instance

from keepbus.config.model.vrrp import HmacMode, InitialState

PASSWORD = "authentication {\nauth_type PASS\nauth_pass sesame\n}"
HMAC = f"auth_hmac {{\nkey 1 {'x' * 32}\nactive_key 1\nmode permissive\n}}"


def test_what_strict_mode_turns_on(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "strict_mode")
    assert codes(compiled) == []
    found = only_instance(compiled)
    assert found.lower_prio_no_advert
    assert found.owner_ignore_adverts
    assert (found.down_timer_adverts, found.garp.lower_prio_repeat) == (3, 0)


@pytest.mark.parametrize(
    "lines",
    [PASSWORD, "preempt_delay 5", "down_timer_adverts 4", "state MASTER", "priority 255"],
)
def test_what_strict_mode_does_not_allow_is_an_error(tmp_path: Path, lines: str) -> None:
    assert is_error(instance(tmp_path, f"strict_mode\n{lines}"), "strict-mode")
    found = only_instance(instance(tmp_path, f"strict_mode\n{lines}", permissive=True))
    assert found.authentication is None
    assert (found.preempt_delay_us, found.down_timer_adverts) == (0, 3)
    assert found.state is (InitialState.MASTER if found.priority == 255 else InitialState.BACKUP)


def test_vrrp_strict_and_its_exception(tmp_path: Path) -> None:
    before = "global_defs {\nvrrp_strict\n}"
    assert only_instance(instance(tmp_path, before=before)).lower_prio_no_advert
    assert not only_instance(instance(tmp_path, "strict_mode no", before=before)).lower_prio_no_advert


def test_auth_hmac_is_enforced(tmp_path: Path) -> None:
    found = only_instance(instance(tmp_path, f"strict_mode\n{HMAC}"))
    assert found.auth_hmac is not None
    assert found.auth_hmac.mode is HmacMode.ENFORCE
