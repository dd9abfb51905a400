"""How checks are told to operators."""

from __future__ import annotations

from keepbus.config.model.checker import Check, CheckKind


def bracketed(address: str) -> str:
    """An address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def target(check: Check) -> str:
    """What is probed: address:port, an address, a command, a file."""
    if check.misc is not None:
        return " ".join(check.misc.script.argv)
    if check.file is not None:
        return check.file.path
    if check.bfd:
        return check.bfd
    if check.kind is CheckKind.PING_CHECK:
        return check.address
    return f"{bracketed(check.address)}:{check.port}"


def sent(check: Check, url: int) -> str:
    """What a probe asks, in one line; url is the index of the page."""
    if check.urls:
        version = "1.1" if check.http_protocol == "1.1" else "1.0"
        return f"GET {check.urls[url].path} HTTP/{version}"
    if check.dns is not None:
        return f"DNS query {check.dns.type} {check.dns.name}"
    if check.udp is not None:
        return (
            f"UDP datagram of {len(check.udp.payload) // 2} octets" if check.udp.payload else "UDP datagram"
        )
    if check.plugin is not None:
        return f"{check.plugin.keyword} conversation"
    return _SENT[check.kind]


_SENT = {
    CheckKind.TCP_CHECK: "TCP connect",
    CheckKind.SMTP_CHECK: "SMTP HELO, QUIT",
    CheckKind.PING_CHECK: "ICMP echo request",
    CheckKind.MISC_CHECK: "script run",
    CheckKind.FILE_CHECK: "file read",
    CheckKind.BFD_CHECK: "state of the BFD session heard",
}


def seconds(ns: int) -> str:
    """`2.5 s`."""
    return f"{ns / 1_000_000_000:g} s"
