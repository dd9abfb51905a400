"""What becomes of the `SSL` block and of tls_compliant (features 13.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes
from test_config_checks import checks, compiled, only

from keepbus.config.model.checker import TlsClient

SSL_GET = "SSL_GET {\n url {\n path /\n}\n}"


def test_the_ssl_block_is_of_every_ssl_get(tmp_path: Path) -> None:
    before = "SSL {\n ca /a\n certificate /b\n key /c\n password d\n verify\n}"
    check = only(compiled(tmp_path, SSL_GET, before=before))
    assert check.tls == TlsClient(ca="/a", certificate="/b", key="/c", password="d", verify=True)
    assert only(compiled(tmp_path, SSL_GET.replace("SSL_GET", "HTTP_GET"), before=before)).tls is None
    assert only(compiled(tmp_path, SSL_GET)).tls is None


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("certificate /b", "missing-key"),
        ("key /b", "missing-certificate"),
        ("password b", "missing-key"),
        ("ca /b", "ca-without-verify"),
    ],
)
def test_what_has_no_effect_in_keepalived_either_is_told(tmp_path: Path, lines: str, code: str) -> None:
    found = compiled(tmp_path, SSL_GET, before=f"SSL {{\n{lines}\n}}")
    assert codes(found) == [code]
    assert checks(found)


def test_the_last_ssl_block_counts(tmp_path: Path) -> None:
    found = compiled(tmp_path, SSL_GET, before="SSL {\n}\nSSL {\n verify\n}")
    assert codes(found) == ["given-twice"]
    assert checks(found)[0].tls == TlsClient(verify=True)


def test_tls_compliant_of_a_check_and_of_a_page(tmp_path: Path) -> None:
    pages = "url {\n path /\n}\nurl {\n path /b\n tls_compliant no\n}"
    check = only(compiled(tmp_path, f"SSL_GET {{\n{pages}\n tls_compliant\n}}"))
    assert [url.tls_compliant for url in check.urls] == [True, False]
