"""A configuration file to the typed model, with all that there is to say about it."""

from __future__ import annotations

import contextvars
import gc
import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from keepbus.config.build_checks import Checks
from keepbus.config.build_garp_groups import build_garp_groups
from keepbus.config.build_groups import build_groups
from keepbus.config.build_interface_delays import build_interface_delays
from keepbus.config.build_ipvs_settings import adopt_sync_daemon, build_ipvs_section
from keepbus.config.build_notify import build_notify
from keepbus.config.build_rules import RuleReader
from keepbus.config.build_statics import StaticObjects
from keepbus.config.build_sync_groups import build_sync_groups
from keepbus.config.build_tls import build_tls
from keepbus.config.build_track_files import build_track_files
from keepbus.config.build_tracking import BLOCKS, Trackables
from keepbus.config.build_virtual_servers import Progress, build_virtual_servers
from keepbus.config.build_vrrp import build_instances
from keepbus.config.diagnostics import Diagnostic, Findings, Severity
from keepbus.config.iproute_names import look_in
from keepbus.config.keywords import knows
from keepbus.config.model.checker import CheckerSection
from keepbus.config.model.configuration import Configuration, GlobalDefs
from keepbus.config.model.vrrp import VrrpInstance, VrrpSection
from keepbus.config.reader import Fields, TableReader
from keepbus.config.source import Reader, Source
from keepbus.config.syntax import Statement, parse
from keepbus.config.values import with_supplementary_groups

SCRIPT_USER = "keepalived_script"

_GLOBAL_FIELDS = (
    "router_id",
    "notification_email_from",
    "smtp_server",
    "smtp_connect_timeout_us",
    "script_user",
    "enable_script_security",
    "address_lease",
    "reload_time_file",
    "reload_repeat",
    "startup_script",
    "startup_script_timeout_s",
    "shutdown_script",
    "shutdown_script_timeout_s",
)

_VRRP_FIELDS = (
    "startup_delay_us",
    "delay_after_boot_us",
    "garp_interval_us",
    "gna_interval_us",
    "nftables",
    "nftables_priority",
    "nftables_counters",
    "disable_local_igmp",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What came of a file."""

    configuration: Configuration | None
    """None when there are errors."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def exit_status(self) -> int:
        """0 clean, 1 warnings only, 2 errors."""
        if self.configuration is None:
            return 2
        return 1 if self.diagnostics else 0

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What keeps the configuration from being used."""
        return tuple(found for found in self.diagnostics if found.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What doesn't."""
        return tuple(found for found in self.diagnostics if found.severity is Severity.WARNING)


def compile_file(
    path: Path,
    *,
    permissive: bool = False,
    config_id: str = "",
    ipvs_driver: str = "",
    progress: Progress | None = None,
) -> Compiled:
    """Compile a file. Never raises for what stands in the file, nor when it can't be read.

    permissive: errors for which a reasonable reading exists are warnings, and that reading is taken.
    config_id: what `@ID` conditions compare with; the short host name when empty.
    ipvs_driver: a name of `keepbus.config.ipvs_drivers`; what that driver cannot carry is an error. `auto`
    says that nftables may have to stand in on this host: a warning. Empty: everything can be carried.
    progress: called with how many of how many virtual servers are built.
    """
    config_id = config_id or os.uname().nodename.partition(".")[0]
    findings = Findings(permissive=permissive)
    reader = Reader(findings)
    configuration = None
    with _collector_paused():
        source = reader.read(path.absolute(), str(path))
        if source is not None:
            # In a context of its own: the file may say where names are looked up.
            configuration = contextvars.copy_context().run(
                _compile, source, path, reader, findings, config_id, ipvs_driver, progress
            )
    return Compiled(
        configuration=None if findings.has_errors else configuration,
        diagnostics=findings.diagnostics(tuple(reader.names)),
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A million small objects and no cycle among them: the collector would only cost a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _compile(
    source: Source,
    path: Path,
    reader: Reader,
    findings: Findings,
    config_id: str,
    ipvs_driver: str,
    progress: Progress | None,
) -> Configuration:
    root = Statement([""], source, 1, 0)
    root.children = parse(source, path.resolve(), reader, findings, config_id, knows)
    tables = TableReader(findings)
    blocks: dict[str, list[Statement]] = {
        "global_defs": [],
        "vrrp_instance": [],
        "virtual_server_group": [],
        "vrrp_sync_group": [],
        "virtual_server": [],
        "SSL": [],
        "track_file": [],
        "garp_group": [],
        "track_group": [],
        **{keyword: [] for keyword in BLOCKS},
    }
    blocks["vrrp_track_file"] = blocks["track_file"]
    top = tables.read(root, (), lambda keyword, block, _: blocks[keyword].append(block))
    adopt_sync_daemon(findings, blocks["vrrp_instance"], blocks["global_defs"])
    defaults, global_defs = _global_defs(tables, blocks["global_defs"])
    if defaults is not None:
        look_in(defaults.get("iproute_usr_dir", ""), defaults.get("iproute_etc_dir", ""))
    tables.supplementary_groups = bool(defaults and defaults.get("set_supplementary_groups"))
    rules = RuleReader(tables)
    statics = StaticObjects(tables, top, blocks["track_group"], rules)
    track_files = build_track_files(tables, blocks["track_file"])
    trackables = Trackables(tables, blocks, track_files, root.children)
    instances, targets = build_instances(tables, blocks["vrrp_instance"], defaults, rules, trackables)
    sync_groups, group_targets, instances = build_sync_groups(
        tables, blocks["vrrp_sync_group"], instances, trackables
    )
    sessions = [block.words[1] for block in blocks["bfd_instance"] if len(block.words) > 1]
    checks = Checks(tables, track_files, sessions, build_tls(tables, blocks["SSL"]))
    groups = build_groups(tables, blocks["virtual_server_group"])
    virtual_servers = build_virtual_servers(
        tables, blocks["virtual_server"], checks, groups, ipvs_driver, _holders(instances), progress
    )
    if not global_defs.script_user and tables.without_user and not has_script_user():
        _tell_without_user(findings, tables.without_user)
    global_defs = replace(global_defs, **top.given(("net_namespace", "instance")))
    if tables.supplementary_groups:
        who = str(with_supplementary_groups(global_defs.script_user))
        global_defs = replace(global_defs, script_user=who)
    vrrp = VrrpSection(
        instances=statics.tie(instances),
        sync_groups=sync_groups,
        statics=statics.statics,
        address_lease=global_defs.address_lease,
        garp_groups=build_garp_groups(tables, blocks["garp_group"]),
        interface_delays=build_interface_delays(tables, top.get("interface_delays", ()), instances),
        **(defaults.given(_VRRP_FIELDS) if defaults else {}),
    )
    return Configuration(
        global_defs=global_defs,
        vrrp=vrrp,
        checker=CheckerSection(
            checks=checks.all(),
            **trackables.used(instances),
            script_user=global_defs.script_user,
            random_seed=defaults.get("random_seed") if defaults else None,
            enable_script_security=global_defs.enable_script_security,
        ),
        ipvs=build_ipvs_section(tables, defaults, instances, virtual_servers, ipvs_driver),
        notify=build_notify(defaults, global_defs, targets + group_targets, vrrp, virtual_servers),
    )


def _holders(instances: Iterable[VrrpInstance]) -> dict[str, tuple[str, ...]]:
    """The instances of each virtual address."""
    holders: dict[str, tuple[str, ...]] = {}
    for instance in instances:
        for each in (*instance.virtual_addresses, *instance.virtual_addresses_excluded):
            holders[each.address] = (*holders.get(each.address, ()), instance.name)
    return holders


def _tell_without_user(findings: Findings, scripts: list[Statement]) -> None:
    for script in scripts:
        findings.warning(
            "no-script-user",
            "nothing says as whom this script runs; a node that runs as root will not run it",
            script.at(),
            advice="add `script_user USER` to `global_defs`; where it must be root, write `script_user root`",
        )


def has_script_user() -> bool:
    """Scripts that name no user run as this one, on a host that has it (features 11)."""
    try:
        pwd.getpwnam(SCRIPT_USER)
    except KeyError:
        return False
    return True


def _global_defs(tables: TableReader, blocks: list[Statement]) -> tuple[Fields | None, GlobalDefs]:
    """All global_defs blocks as one."""
    if not blocks:
        return None, GlobalDefs()
    merged = Statement(blocks[0].words, blocks[0].source, blocks[0].line, blocks[0].first)
    merged.children = []
    for block in blocks:
        if len(block.words) > 1:
            tables.surplus(block, block.words, 1)
        merged.children.extend(block.children or ())
    fields = tables.read(merged, ("global_defs",))
    mailboxes: list[str] = []
    for line in fields.get("notification_email", ()):
        for index, word in enumerate(line.words):
            if word.startswith("//"):
                tables.surplus(line, line.words, index)
                break
            mailboxes.append(word)
    given = fields.given(_GLOBAL_FIELDS)
    return fields, GlobalDefs(notification_email=tuple(mailboxes), **given)
