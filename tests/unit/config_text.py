"""Compile a piece of text, for the tests of the compiler."""

from __future__ import annotations

from pathlib import Path

from keepbus.config.compiler import Compiled, compile_file
from keepbus.config.diagnostics import Diagnostic, Severity
from keepbus.config.model.ipvs import VirtualServer
from keepbus.config.model.vrrp import VrrpInstance

INSTANCE = """\
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.1/24
    }
@
}
"""
SERVER = """\
virtual_server 192.0.2.1 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
@
}
"""


def compile_text(folder: Path, text: str, *, permissive: bool = False) -> Compiled:
    path = folder / "keepalived.conf"
    path.write_text(text, encoding="utf-8")
    return compile_file(path, permissive=permissive)


def instance(folder: Path, extra: str = "", before: str = "", *, permissive: bool = False) -> Compiled:
    """One good instance with more lines in it, and lines before it."""
    return compile_text(folder, f"{before}\n{INSTANCE.replace('@', extra)}", permissive=permissive)


def server(folder: Path, extra: str, *, permissive: bool = False) -> Compiled:
    """One good virtual server with more lines in it."""
    return compile_text(folder, SERVER.replace("@", extra), permissive=permissive)


def only_instance(compiled: Compiled) -> VrrpInstance:
    assert compiled.configuration is not None, compiled.diagnostics
    (found,) = compiled.configuration.vrrp.instances
    return found


def only_server(compiled: Compiled) -> VirtualServer:
    assert compiled.configuration is not None, compiled.diagnostics
    (found,) = compiled.configuration.ipvs.virtual_servers
    return found


def told(compiled: Compiled) -> list[str]:
    """`severity code line:column` of each finding."""
    return [
        f"{found.severity} {found.code} {found.place.line}:{found.place.column}"
        for found in compiled.diagnostics
    ]


def codes(compiled: Compiled) -> list[str]:
    return [found.code for found in compiled.diagnostics]


def find(compiled: Compiled, code: str) -> Diagnostic:
    """The one finding with this code."""
    found = [diagnostic for diagnostic in compiled.diagnostics if diagnostic.code == code]
    assert len(found) == 1, told(compiled)
    return found[0]


def underlined(diagnostic: Diagnostic) -> str:
    """The text under the caret."""
    start = diagnostic.place.excerpt_column - 1
    return diagnostic.place.excerpt[start : start + diagnostic.place.length]


def is_error(compiled: Compiled, code: str) -> bool:
    return find(compiled, code).severity is Severity.ERROR
