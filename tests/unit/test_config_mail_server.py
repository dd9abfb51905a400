"""`smtp_server HOST [PORT]` (features 4, 10.4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import compile_text, find

MAIL = "global_defs {{\n    notification_email {{\n        a@b\n    }}\n    smtp_server {}\n}}\n"


@pytest.mark.parametrize(
    ("words", "server", "port"),
    [("mail.example", "mail.example", 25), ("192.0.2.9 2525", "192.0.2.9", 2525), ("::1 465", "::1", 465)],
)
def test_host_and_port(tmp_path: Path, words: str, server: str, port: int) -> None:
    compiled = compile_text(tmp_path, MAIL.format(words))
    assert compiled.configuration is not None
    mail = compiled.configuration.notify.mail
    assert mail is not None
    assert (mail.server, mail.port) == (server, port)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("192.0.2.9 smtp", "a port from 0 to 65535 expected, not `smtp`"),
        ("192.0.2.9 0", "a port from 1 to 65535 expected, not `0`"),
        ("192.0.2.9 65536", "a port from 0 to 65535 expected, not `65536`"),
        ('"192.0.2.9 25"', "a host name or an address expected, not `192.0.2.9 25`"),
    ],
)
def test_what_is_no_server_is_told_and_left_out(tmp_path: Path, words: str, sentence: str) -> None:
    compiled = compile_text(tmp_path, MAIL.format(words))
    assert sentence in find(compiled, "bad-value").text
    assert compiled.configuration is not None, "keepalived goes on without it"
    assert compiled.configuration.notify.mail is None
