"""`authentication` and `auth_hmac` (conformance A2, A6, A7, X1, X4, X8; features 16.6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import INSTANCE, codes, compile_text, find, instance, is_error, only_instance

from keepbus.config.diagnostics import Severity
from keepbus.config.model.vrrp import AuthHmac, AuthType, HmacKey, HmacMode

TEXT = "0123456789abcdef0123456789abcdef"
PASSWORD = "authentication {\nauth_type PASS\nauth_pass hunter2\n}"
DIGITS = "00" * 31 + "ff"


def hmac(folder: Path, *lines: str, before: str = "") -> AuthHmac:
    block = "auth_hmac {\n" + "\n".join(lines) + "\n}"
    found = only_instance(instance(folder, f"{before}\n{block}")).auth_hmac
    assert found is not None
    return found


def test_a5_ah(tmp_path: Path) -> None:
    found = only_instance(instance(tmp_path, "authentication {\nauth_type AH\nauth_pass sesame\n}"))
    assert found.authentication is not None
    assert found.authentication.auth_type is AuthType.AH


def test_x1_a_key_in_each_of_its_forms(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{TEXT}\nsecond line\n", encoding="utf-8")
    file.chmod(0o600)
    found = hmac(tmp_path, f"key 1 {TEXT}", f"key 2 hex:{DIGITS}", f"key 255 file:{file}", "active_key 2")
    assert found == AuthHmac(
        keys=(
            HmacKey(key_id=1, octets=TEXT.encode().hex()),
            HmacKey(key_id=2, octets=DIGITS),
            HmacKey(key_id=255, octets=TEXT.encode().hex()),
        ),
        active_key=2,
        mode=HmacMode.ENFORCE,
        time_window_us=5_000_000,
    )


@pytest.mark.parametrize(
    ("lines", "window_us"),
    [
        ("", 5_000_000),
        ("advert_int 2", 6_000_000),
        ("advert_int 255", 300_000_000),
    ],
)
def test_x8_the_window_is_three_intervals_5_s_at_least_300_s_at_most(
    tmp_path: Path, lines: str, window_us: int
) -> None:
    assert hmac(tmp_path, f"key 1 {TEXT}", "active_key 1", before=lines).time_window_us == window_us


def test_x8_x4_settings(tmp_path: Path) -> None:
    found = hmac(tmp_path, f"key 1 {TEXT}", "active_key 1", "time_window 30", "mode permissive")
    assert (found.time_window_us, found.mode) == (30_000_000, HmacMode.PERMISSIVE)
    found = hmac(tmp_path, f"key 1 {TEXT}", "active_key 1", "anti_replay monotonic", "mode receive-only")
    assert (found.time_window_us, found.mode) == (0, HmacMode.RECEIVE_ONLY)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (f"key 1 {TEXT}", "missing-key"),
        (f"key 1 {TEXT}\nactive_key 2", "missing-key"),
        ("key 1 short\nactive_key 1", "bad-key"),
        (f"key 1 {'x' * 65}\nactive_key 1", "bad-key"),
        ("key 1 hex:0g\nactive_key 1", "bad-key"),
        ("key 1 file:/nonexistent\nactive_key 1", "key-file"),
        (f"key 0 {TEXT}\nactive_key 1", "bad-value"),
        (f"key 1 {TEXT}\nactive_key 1\nmode lax", "bad-value"),
    ],
)
def test_what_would_leave_adverts_unprotected_is_an_error(tmp_path: Path, lines: str, code: str) -> None:
    compiled = instance(tmp_path, f"auth_hmac {{\n{lines}\n}}")
    assert is_error(compiled, code)
    assert len(compiled.errors) == 1


def test_a6_adverts_over_ipv6_hold_no_password(tmp_path: Path) -> None:
    text = INSTANCE.replace("192.0.2.1/24", "fe80::1/64").replace("    interface", "version 2\n interface")
    text = text.replace("@", PASSWORD)
    assert is_error(compile_text(tmp_path, text), "authentication-ipv6")


def test_ah_and_auth_hmac_do_not_go_together(tmp_path: Path) -> None:
    password = "authentication {\nauth_type AH\nauth_pass sesame\n}"
    compiled = instance(tmp_path, f"{password}\nauth_hmac {{\nkey 1 {TEXT}\nactive_key 1\n}}")
    assert is_error(compiled, "two-authentications")


def test_a7_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(TEXT, encoding="utf-8")
    file.chmod(0o640)
    compiled = instance(tmp_path, f"auth_hmac {{\nkey 1 file:{file}\nactive_key 1\n}}")
    assert find(compiled, "key-file").severity is Severity.ERROR


def test_a_key_that_is_given_twice(tmp_path: Path) -> None:
    block = f"auth_hmac {{\nkey 1 {TEXT}\nkey 1 hex:{DIGITS}\nactive_key 1\n}}"
    compiled = instance(tmp_path, block)
    assert codes(compiled) == ["given-twice"]
    found = only_instance(compiled).auth_hmac
    assert found is not None
    assert found.keys == (HmacKey(key_id=1, octets=DIGITS),)


def test_a7_no_finding_shows_a_key(tmp_path: Path) -> None:
    secret = "hunter2" * 4
    for line in (
        f"key 1 {secret}",
        f"key 300 {secret}",
        f"key 1 hex:{secret}",
        f"key 1 {secret} x",
        f"kee 1 {secret}",
    ):
        compiled = instance(tmp_path, f"auth_hmac {{\n{line}\nactive_key 1\n}}")
        assert compiled.errors
        assert "hunter2" not in repr(compiled)


def test_a7_no_repr_shows_a_secret(tmp_path: Path) -> None:
    found = only_instance(instance(tmp_path, f"{PASSWORD}\nauth_hmac {{\nkey 1 {TEXT}\nactive_key 1\n}}"))
    assert found.authentication is not None
    assert found.auth_hmac is not None
    assert "hunter2" not in repr(found)
    assert TEXT.encode().hex() not in repr(found)
