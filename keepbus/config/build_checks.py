"""Checker blocks of a real server to checks, each distinct one once (features 12.1, 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keepbus.config.model import Check, CheckKind, CheckUse, StatusRange, Url
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement

_PATH = ("virtual_server", "real_server")
_INHERITED = ("retry", "delay_before_retry_us", "connect_timeout_us", "delay_loop_us", "warmup_us")
_OWN = ("bind_address", "bind_port", "fast_recovery")
_HTTP_DELAY_BEFORE_RETRY_US = 3_000_000
_SUCCESS = (StatusRange(low=200, high=299),)
_SHORTEST_HASH = 8


class Checks:
    """All distinct checks of a configuration."""

    def __init__(self, tables: TableReader) -> None:
        self._tables = tables
        self._by_content: dict[Check, Check] = {}
        self._ids: set[str] = set()

    def all(self) -> tuple[Check, ...]:
        """In the order of the file."""
        return tuple(self._by_content.values())

    def build(
        self, keyword: str, block: Statement, address: str, port: int, inherited: Mapping[str, Any]
    ) -> CheckUse | None:
        """A real server's use of what one checker block asks for; None when it can't be used.

        inherited: what the real server and its virtual server say, by field.
        """
        urls: list[Fields] = []

        def on_url(_keyword: str, statement: Statement, _fields: Fields) -> None:
            if len(statement.words) > 1:
                self._tables.surplus(statement, statement.words, 1)
            urls.append(self._tables.read(statement, (*_PATH, keyword, "url")))

        if len(block.words) > 1:
            self._tables.surplus(block, block.words, 1)
        fields = self._tables.read(block, (*_PATH, keyword), on_url)
        port = fields.get("port", port)
        if not port:
            self._tables.findings.error(
                "missing-port",
                f"`{keyword}` has no port to connect to",
                block.at(),
                advice="add `connect_port`",
            )
            return None
        given: dict[str, Any] = fields.given(_OWN)
        if keyword != CheckKind.TCP_CHECK:
            if not urls:
                self._tables.findings.error(
                    "missing-url",
                    f"`{keyword}` has no `url`; the check is not used",
                    block.at(),
                    lenient=True,
                )
                return None
            given["delay_before_retry_us"] = _HTTP_DELAY_BEFORE_RETRY_US
            given.update(self._http(fields, urls, inherited.get("virtualhost", "")))
        for field in _INHERITED:
            value = fields.get(field, inherited.get(field))
            if value is not None:
                given[field] = value
        if "warmup_us" not in given and "delay_loop_us" in given:
            given["warmup_us"] = given["delay_loop_us"]
        check = self._intern(
            Check(id="", kind=CheckKind(keyword), address=fields.get("address", address), port=port, **given)
        )
        return CheckUse(check=check.id, alpha=fields.get("alpha", inherited.get("alpha", False)))

    def _http(self, fields: Fields, urls: list[Fields], virtualhost: str) -> dict[str, Any]:
        virtualhost = fields.get("virtualhost", virtualhost)
        built = tuple(self._url(url, virtualhost) for url in urls)
        given: dict[str, Any] = {"urls": built, "virtualhost": virtualhost}
        if "http_protocol" in fields.values:
            given["http_protocol"] = fields.values["http_protocol"].upper()
        if fields.get("enable_sni") or "sni_name" in fields.values:
            given["sni_name"] = fields.get("sni_name") or built[0].virtualhost
        return given

    def _url(self, fields: Fields, virtualhost: str) -> Url:
        if fields.lacks("path"):
            self._tables.findings.error(
                "missing-path", "`url` has no `path`; `/` is taken", fields.statement.at(), lenient=True
            )
        return Url(
            path=fields.get("path", "/"),
            digest=fields.get("digest", ""),
            status_codes=fields.get("status_codes", _SUCCESS),
            virtualhost=fields.get("virtualhost", virtualhost),
        )

    def _intern(self, check: Check) -> Check:
        known = self._by_content.get(check)
        if known is None:
            known = self._by_content[check] = replace(check, id=self._new_id(check))
            self._ids.add(known.id)
        return known

    def _new_id(self, check: Check) -> str:
        name = f"{check.kind}:{check.address}:{check.port}"
        if check == Check(id="", kind=check.kind, address=check.address, port=check.port):
            return name
        digest = hashlib.sha256(repr(check).encode()).hexdigest()
        length = _SHORTEST_HASH
        while f"{name}#{digest[:length]}" in self._ids:
            length += 1
        return f"{name}#{digest[:length]}"
