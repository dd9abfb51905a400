"""Checker blocks of a real server to checks, each distinct one once (features 12.1, 13)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from keepbus.config import pcre2
from keepbus.config.check_values import FileWeight
from keepbus.config.keywords import OWN
from keepbus.config.model.checker import (
    Check,
    CheckKind,
    DnsQuestion,
    MiscCommand,
    PluginCheck,
    PluginSetting,
    Regex,
    StatusRange,
    TlsClient,
    TrackedFile,
    UdpExchange,
    Url,
)
from keepbus.config.model.ipvs import CheckUse, family_of
from keepbus.config.model.scripts import Script
from keepbus.config.reader import Fields, TableReader
from keepbus.config.syntax import Statement

_PATH = ("virtual_server", "real_server")
_SCHEDULE = ("retry", "delay_before_retry_us", "connect_timeout_us", "delay_loop_us", "warmup_us")
_BIND = ("bind_address", "bind_port", "bind_interface", "fwmark")
_CONNECTION = ("address", "port", *_BIND, "connect_timeout_us")
_DEFAULT_DELAY_LOOP_US = 60_000_000
_SUCCESS = (StatusRange(low=200, high=299),)
_SHORTEST_HASH = 8
_WITH_URLS = (CheckKind.HTTP_GET, CheckKind.SSL_GET)

Values = Mapping[str, Any]
"""Values by field."""


class Checks:
    """All distinct checks of a configuration."""

    def __init__(
        self,
        tables: TableReader,
        track_files: Mapping[str, TrackedFile] | None = None,
        sessions: Collection[str] = (),
        tls: TlsClient | None = None,
    ) -> None:
        """track_files: those that FILE_CHECK may name; sessions: the BFD instances that BFD_CHECK may.

        tls: for SSL_GETs.
        """
        self._tables = tables
        self._track_files = track_files or {}
        self._sessions = sessions
        self._tls = tls
        self._by_content: dict[Check, Check] = {}
        self._ids: set[str] = set()

    def all(self) -> tuple[Check, ...]:
        """In the order of the file."""
        return tuple(self._by_content.values())

    def build(
        self, keyword: str, block: Statement, address: str, port: int, inherited: Values
    ) -> list[CheckUse]:
        """A real server's uses of what one checker block asks for; none when it can't be used.

        inherited: what the real server and its virtual server say, by field; `script_timeout_us` is how long
        a command may take that has no limit of its own.
        """
        inner: list[Fields] = []

        def on_block(name: str, statement: Statement, _fields: Fields) -> None:
            if len(statement.words) > 1:
                self._tables.surplus(statement, statement.words, 1)
            inner.append(self._tables.read(statement, (*_PATH, keyword, name)))

        if len(block.words) > 1:
            self._tables.surplus(block, block.words, 1)
        fields = self._tables.read(block, (*_PATH, keyword), on_block)
        kind = CheckKind(keyword) if keyword in CheckKind.__members__ else CheckKind.PLUGIN
        if kind is CheckKind.FILE_CHECK:
            return self._file(fields)
        if kind is CheckKind.BFD_CHECK:
            return self._bfd(fields, inherited)
        own = self._own(kind, fields, inner, inherited)
        if own is None:
            return []
        uses = []
        suspended = {"ha_suspend": inherited["ha_suspend"]} if inherited.get("ha_suspend") else {}
        for values in _places(kind, fields, inner, inherited):
            place = self._place(kind, values, block, address, port)
            if place is not None:
                made = Check(id="", kind=kind, **own, **place, **_schedule(kind, values), **suspended)
                check = self._intern(made)
                uses.append(CheckUse(check=check.id, alpha=values.get("alpha", False)))
        return uses

    def _place(
        self, kind: CheckKind, values: Values, block: Statement, address: str, port: int
    ) -> dict[str, Any] | None:
        """What is connected to, and from where."""
        if kind is CheckKind.MISC_CHECK:
            return {"address": "", "port": 0}
        address, port = values.get("address", address), values.get("port", port)
        given = {field: values[field] for field in _BIND if field in values}
        if family_of(given.get("bind_address", address)) != family_of(address):
            self._tables.findings.error(
                "mixed-families",
                f"`bindto` {given.pop('bind_address')} is not of the family of {address}; it is ignored",
                block.at(),
                lenient=True,
            )
        if kind is CheckKind.PING_CHECK:
            given.pop("bind_port", None)
            return {"address": address, "port": 0, **given}
        if not port:
            self._tables.findings.error(
                "missing-port",
                f"`{kind}` has no port to connect to",
                block.at(),
                advice="add `connect_port`",
            )
            return None
        return {"address": address, "port": port, **given}

    def _own(
        self, kind: CheckKind, fields: Fields, inner: list[Fields], inherited: Values
    ) -> dict[str, Any] | None:
        """What only a check of this kind has; None when it can't be used without what is missing."""
        if kind in _WITH_URLS:
            if not inner:
                self._unusable("missing-url", kind, "url", fields)
                return None
            own = self._http(fields, inner, inherited.get("virtualhost", ""))
            return own if kind is CheckKind.HTTP_GET else {**own, "tls": self._tls}
        if kind is CheckKind.PLUGIN:
            return {"plugin": _plugin(fields)}
        if kind is CheckKind.SMTP_CHECK:
            return fields.given(("helo_name",))
        if kind is CheckKind.DNS_CHECK:
            return {"dns": DnsQuestion(**fields.given(("type", "name")))}
        if kind is CheckKind.UDP_CHECK:
            return {"udp": self._udp(fields)}
        if kind is CheckKind.MISC_CHECK:
            if "argv" not in fields.values:
                self._unusable("missing-script", kind, "misc_path", fields, "argv")
                return None
            user, _, group = fields.get("user", "").partition(":")
            timeout_us = fields.get("timeout_us") or inherited.get("script_timeout_us")
            command = MiscCommand(
                script=Script(argv=fields.values["argv"], user=user, group=group),
                timeout_us=timeout_us or _DEFAULT_DELAY_LOOP_US,
                dynamic=fields.get("dynamic", False),
            )
            return {"misc": command}
        return {}

    def _unusable(self, code: str, kind: CheckKind, keyword: str, fields: Fields, field: str = "") -> None:
        """Say that a check lacks what it can't be without, unless a finding says already why."""
        if field not in fields.refused:
            self._tables.findings.error(
                code,
                f"`{kind}` has no `{keyword}`; the check is not used",
                fields.statement.at(),
                lenient=True,
            )

    def _udp(self, fields: Fields) -> UdpExchange:
        given = fields.given(("payload", "reply_pattern", "min_reply_length", "max_reply_length"))
        udp = UdpExchange(require_reply="reply_pattern" in given, **given)
        if udp.min_reply_length > udp.max_reply_length:
            self._tables.findings.error(
                "reply-length",
                f"no reply can have from {udp.min_reply_length} to {udp.max_reply_length} octets",
                fields.where("min_reply_length"),
                advice="raise `max_reply_length`, which is 255 by default",
                lenient=True,
            )
        return udp

    def _file(self, fields: Fields) -> list[CheckUse]:
        name = fields.get("name")
        if name is None:
            self._unusable("missing-track-file", CheckKind.FILE_CHECK, "track_file", fields, "name")
            return []
        file = self._track_files.get(name)
        if file is None:
            self._tables.findings.error(
                "unknown-track-file",
                f"there is no track_file {name}; the check is not used",
                fields.where("name"),
                lenient=True,
            )
            return []
        given: FileWeight | None = fields.get("file_weight")
        if given is not None:
            reverse = file.reverse if given.reverse is None else given.reverse
            file = replace(file, weight=given.weight, reverse=reverse)
        check = self._intern(Check(id="", kind=CheckKind.FILE_CHECK, address="", port=0, retry=0, file=file))
        return [CheckUse(check=check.id)]

    def _bfd(self, fields: Fields, inherited: Values) -> list[CheckUse]:
        name = fields.get("bfd")
        if name is None:
            self._unusable("missing-bfd-instance", CheckKind.BFD_CHECK, "name", fields, "bfd")
            return []
        if name not in self._sessions:
            self._tables.findings.error(
                "unknown-bfd-instance",
                f"there is no bfd_instance {name}; the check is not used",
                fields.where("bfd"),
                lenient=True,
            )
            return []
        check = self._intern(Check(id="", kind=CheckKind.BFD_CHECK, address="", port=0, retry=0, bfd=name))
        return [CheckUse(check=check.id, alpha=fields.get("alpha", inherited.get("alpha", False)))]

    def _http(self, fields: Fields, urls: list[Fields], virtualhost: str) -> dict[str, Any]:
        virtualhost = fields.get("virtualhost", virtualhost)
        built = tuple(self._url(url, virtualhost, fields.get("tls_compliant", False)) for url in urls)
        given: dict[str, Any] = {
            "urls": built,
            "virtualhost": virtualhost,
            **fields.given(("fast_recovery",)),
        }
        if "http_protocol" in fields.values:
            given["http_protocol"] = fields.values["http_protocol"].upper()
        if fields.get("enable_sni") or "sni_name" in fields.values:
            given["sni_name"] = fields.get("sni_name") or built[0].virtualhost
        return given

    def _url(self, fields: Fields, virtualhost: str, tls_compliant: bool) -> Url:
        if fields.lacks("path"):
            self._tables.findings.error(
                "missing-path", "`url` has no `path`; `/` is taken", fields.statement.at(), lenient=True
            )
        return Url(
            path=fields.get("path", "/"),
            digest=fields.get("digest", ""),
            status_codes=fields.get("status_codes", _SUCCESS),
            virtualhost=fields.get("virtualhost", virtualhost),
            tls_compliant=fields.get("tls_compliant", tls_compliant),
            regex=self._regex(fields),
        )

    def _regex(self, fields: Fields) -> Regex | None:
        pattern = fields.get("regex")
        if pattern is None:
            return None
        options = fields.get("options", ())
        try:
            pcre2.Pattern(pattern, options)
        except pcre2.PatternError as error:
            self._tables.findings.error("regex", f"`{pattern}` is no regex: {error}", fields.where("regex"))
            return None
        except pcre2.Unavailable as error:
            self._tables.findings.error("regex", f"`regex` cannot be checked: {error}", fields.where("regex"))
            return None
        given = fields.given(("no_match", "min_offset", "max_offset"))
        return Regex(pattern=pattern, options=options, **given)

    def _intern(self, check: Check) -> Check:
        known = self._by_content.get(check)
        if known is None:
            known = self._by_content[check] = replace(check, id=self._new_id(check))
            self._ids.add(known.id)
        return known

    def _new_id(self, check: Check) -> str:
        name = f"{check.plugin.keyword if check.plugin else check.kind}:{_subject(check)}"
        if check == Check(id="", kind=check.kind, address=check.address, port=check.port):
            return name
        digest = hashlib.sha256(repr(check).encode()).hexdigest()
        length = _SHORTEST_HASH
        while f"{name}#{digest[:length]}" in self._ids:
            length += 1
        return f"{name}#{digest[:length]}"


def _plugin(fields: Fields) -> PluginCheck:
    settings = tuple(
        PluginSetting(word=field.removeprefix(OWN), argument=" ".join(statement.words[1:]))
        for field, statement in sorted(fields.at.items())
        if field.startswith(OWN)
    )
    return PluginCheck(keyword=fields.statement.words[0], settings=settings)


def _places(kind: CheckKind, fields: Fields, inner: list[Fields], inherited: Values) -> list[Values]:
    """The values of each check that a block makes: one, but for SMTP_CHECK one for each `host`, too."""
    outer = {**inherited, **fields.values}
    if kind is not CheckKind.SMTP_CHECK or not inner:
        return [outer]
    common = {field: value for field, value in outer.items() if field not in _CONNECTION}
    if "connect_timeout_us" in inherited:
        common["connect_timeout_us"] = inherited["connect_timeout_us"]
    hosts: list[Values] = [{**common, **host.values} for host in inner]
    # As in keepalived what stands beside the hosts is one more, where it says anything of a connection.
    return [*hosts, outer] if any(field in fields.values for field in _CONNECTION) else hosts


def _schedule(kind: CheckKind, values: Values) -> dict[str, Any]:
    """When a check runs, with the defaults of its kind (features 12.1)."""
    given: dict[str, Any] = {}
    if kind in _WITH_URLS:
        given["delay_before_retry_us"] = 3_000_000
    elif kind is CheckKind.DNS_CHECK:
        given["retry"] = 3
        given["delay_before_retry_us"] = values.get("delay_loop_us", _DEFAULT_DELAY_LOOP_US)
    elif kind is CheckKind.MISC_CHECK:
        given["retry"] = 0
    given.update({field: values[field] for field in _SCHEDULE if field in values})
    if kind is CheckKind.MISC_CHECK:
        given.pop("connect_timeout_us", None)
    if "warmup_us" not in given and "delay_loop_us" in given:
        given["warmup_us"] = given["delay_loop_us"]
    return given


def _subject(check: Check) -> str:
    """What a check is of, as its id says it."""
    if check.misc is not None:
        return check.misc.script.argv[0]
    if check.file is not None:
        return check.file.name
    if check.bfd:
        return check.bfd
    return f"{check.address}:{check.port}" if check.port else check.address
