"""Virtual servers that keepalived and keepbus are both given, all in one file: name to text.

Each uses its own addresses and marks, so that what both made of it can be told apart from the rest: `N`
stands for its number. VIP is 192.0.2.N, VIP6 2001:db8:1::N, MARK 1000 + N, GROUP a name. Servers follow
files: A, B and C are up, or down, everywhere at once; what stands in W is added to a weight.
"""

from __future__ import annotations

from collections.abc import Iterable

A = "FILE_CHECK {\n track_file A\n weight 0\n }"
B = "FILE_CHECK {\n track_file B\n weight 0\n }"
C = "FILE_CHECK {\n track_file C\n weight 0\n }"
W = "FILE_CHECK {\n track_file W\n weight 1\n }"


def rs(address: str, *lines: str) -> str:
    """A real server."""
    return "real_server {} {{\n {}\n}}".format(address, "\n ".join(lines))


def vs(head: str, *lines: str, algo: str = "rr", kind: str = "NAT", protocol: str = "TCP") -> str:
    """A virtual server; empty: the line is not there."""
    settings = [f"lb_algo {algo}" if algo else "", f"lb_kind {kind}" if kind else ""]
    settings += [f"protocol {protocol}" if protocol else "", "delay_loop 2"]
    return "virtual_server {} {{\n{}\n}}\n".format(head, "\n".join(filter(None, (*settings, *lines))))


def group(*lines: str) -> str:
    """The group GROUP."""
    return "virtual_server_group GROUP {\n  " + "\n  ".join(lines) + "\n}\n"


R1, R2, R3 = "198.51.100.1", "198.51.100.2", "198.51.100.3"
S1, S2, S3 = "2001:db8:2::1", "2001:db8:2::2", "2001:db8:2::3"
TWO = (rs(f"{R1} 8080", A), rs(f"{R2} 8080", B))
TWO6 = (rs(f"{S1} 8080", A), rs(f"{S2} 8080", B))
SAME = (rs(f"{R1} 80", A), rs(f"{R2} 80", B))
SAME6 = (rs(f"{S1} 80", A), rs(f"{S2} 80", B))
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos")

CORPUS: dict[str, str] = {
    **{f"scheduler_{name}": vs("VIP 80", *TWO, algo=name) for name in SCHEDULERS},
    # Addresses, protocols, ports.
    "ipv6": vs("VIP6 80", *TWO6),
    "ipv6_dr": vs("VIP6 80", *SAME6, kind="DR"),
    "ipv6_tun": vs("VIP6 80", *SAME6, kind="TUN"),
    "udp": vs("VIP 53", *TWO, protocol="UDP"),
    "sctp": vs("VIP 3868", *TWO, protocol="SCTP"),
    "sctp_ipv6": vs("VIP6 3868", *TWO6, protocol="sctp"),
    "port_0": vs("VIP 0", "persistence_timeout 60", rs(R1, A), rs(f"{R2} 0", B)),
    "port_0_without_timeout": vs("VIP 0", rs(R1, A)),
    "port_0_nat_with_port": vs("VIP 0", "persistence_timeout 60", rs(f"{R1} 8080", A)),
    "port_0_dr": vs("VIP", "persistence_timeout 60", rs(f"{R1} 80", A), kind="DR"),
    "dr_other_port": vs("VIP 80", rs(f"{R1} 8080", A), kind="DR"),
    "tun_other_port": vs("VIP 80", rs(f"{R1} 8080", A), kind="TUN"),
    "nat_without_port": vs("VIP 80", rs(R1, A)),
    # Marks.
    "fwmark": vs("fwmark MARK", *TWO),
    "fwmark_dr": vs("fwmark MARK", *SAME, kind="DR"),
    "fwmark_without_port": vs("fwmark MARK", rs(R1, A), kind="DR"),
    "fwmark_without_protocol": vs("fwmark MARK", *SAME, protocol=""),
    "fwmark_ipv6_by_servers": vs("fwmark MARK", *SAME6, kind="DR"),
    "fwmark_ip_family": vs("fwmark MARK", "ip_family inet6", *SAME6),
    "fwmark_both_families": vs("fwmark MARK", "ip_family inet", *SAME)
    + vs("fwmark MARK", "ip_family inet6", *SAME6),
    "fwmark_mixed_servers": vs("fwmark MARK", rs(f"{R1} 80", A), rs(f"{S2} 80", B), kind="TUN"),
    "fwmark_persistent": vs("fwmark MARK", "persistence_timeout 50", *SAME),
    # Groups.
    "group_addresses": group("VIP 80", "10.N.0.1 443") + vs("group GROUP", *TWO),
    "group_dr": group("VIP 80", "10.N.0.1 443") + vs("group GROUP", *SAME, kind="DR"),
    "group_range": group("10.N.0.1-3 80") + vs("group GROUP", *TWO),
    "group_range_ipv6": group("2001:db8:1:N::a-c 80") + vs("group GROUP", *TWO6),
    "group_network": group("10.N.0.8/30 80") + vs("group GROUP", *TWO),
    "group_fwmarks": group("fwmark MARK", "fwmark 2N") + vs("group GROUP", *SAME, kind="DR"),
    "group_mark_and_address": group("fwmark MARK", "VIP 80") + vs("group GROUP", *SAME),
    "group_mixed_families": group("VIP 80", "VIP6 80") + vs("group GROUP", *SAME, kind="TUN"),
    "group_two_protocols": group("VIP 53")
    + vs("group GROUP", *TWO)
    + vs("group GROUP", *TWO, protocol="UDP"),
    "group_fwmark_inet6": group("fwmark MARK inet6") + vs("group GROUP", *SAME6, kind="DR"),
    "group_persistent_port_0": group("VIP 0", "10.N.0.1 0")
    + vs("group GROUP", "persistence_timeout 30", rs(R1, A), kind="DR"),
    "group_sorry": group("10.N.0.1-2 80") + vs("group GROUP", f"sorry_server {R3} 80", *SAME, kind="DR"),
    # Flags.
    "sh_port": vs("VIP 80", "sh-port", *TWO, algo="sh"),
    "sh_fallback": vs("VIP 80", "sh-fallback", "sh-port", *TWO, algo="sh"),
    "mh_port": vs("VIP 80", "mh-port", *TWO, algo="mh"),
    "mh_fallback": vs("VIP 80", "mh-fallback", "mh-port", *TWO, algo="mh"),
    "flag_1": vs("VIP 80", "flag-1", *TWO, algo="sh"),
    "flags_2_3": vs("VIP 80", "flag-2", "flag-3", *TWO, algo="mh"),
    "ops": vs("VIP 53", "ops", *TWO, protocol="UDP"),
    "ops_fwmark": vs("fwmark MARK", "ops", *SAME, protocol="UDP"),
    # Persistence.
    "persistence": vs("VIP 80", "persistence_timeout 300", *TWO),
    "persistence_default": vs("VIP 80", "persistence_timeout", *TWO),
    "granularity": vs("VIP 80", "persistence_timeout 60", "persistence_granularity 255.255.255.0", *TWO),
    "granularity_alone": vs("VIP 80", "persistence_granularity 255.255.0.0", *TWO),
    "granularity_ipv6": vs("VIP6 80", "persistence_timeout 60", "persistence_granularity 64", *TWO6),
    "persistence_engine": vs(
        "VIP 5060", "persistence_timeout 60", "persistence_engine sip", "ops", *TWO, protocol="UDP"
    ),
    # Tunnels.
    "tunnel_ipip": vs("VIP 80", *SAME, kind="TUN type ipip"),
    "tunnel_gue": vs("VIP 80", *SAME, kind="TUN type gue port 6080"),
    "tunnel_gue_nocsum": vs("VIP 80", *SAME, kind="TUN type gue port 6080 nocsum"),
    "tunnel_gue_csum": vs("VIP 80", *SAME, kind="TUN type gue port 6080 csum"),
    "tunnel_gue_remcsum": vs("VIP 80", *SAME, kind="TUN type gue port 6080 remcsum"),
    "tunnel_gre": vs("VIP 80", *SAME, kind="TUN type gre"),
    "tunnel_gre_csum": vs("VIP 80", *SAME, kind="TUN type gre csum"),
    "tunnel_of_one_server": vs(
        "VIP 80", rs(f"{R1} 80", "lvs_method TUN type gue port 5555", A), rs(f"{R2} 80", B), kind="DR"
    ),
    "tunnel_mixed_families": vs("VIP 80", rs(f"{S1} 80", A), rs(f"{R2} 80", B), kind="TUN"),
    "tunnel_mixed_families_6": vs("VIP6 80", rs(f"{R1} 80", A), kind="TUN type gre"),
    "method_after_a_server": vs("VIP 80", rs(f"{R1} 80", A), "lvs_method DR", rs(f"{R2} 80", B)),
    # Weights, thresholds, quorum, sorry servers.
    "weights": vs("VIP 80", "weight 5", rs(f"{R1} 80", A), "weight 7", rs(f"{R2} 80", B), algo="wrr"),
    "weight_0": vs("VIP 80", rs(f"{R1} 80", "weight 0", A), rs(f"{R2} 80", "weight 65535", B)),
    "weight_of_a_file": vs("VIP 80", rs(f"{R1} 80", "weight 3", W), rs(f"{R2} 80", B), algo="wrr"),
    "thresholds": vs(
        "VIP 80", rs(f"{R1} 80", "uthreshold 10", "lthreshold 5", A), rs(f"{R2} 80", "uthreshold 7", B)
    ),
    "inhibit": vs("VIP 80", "inhibit_on_failure", rs(f"{R1} 80", A), rs(f"{R2} 80", "weight 4", B)),
    "inhibit_of_one": vs("VIP 80", rs(f"{R1} 80", "inhibit_on_failure", A), rs(f"{R2} 80", B)),
    "alpha": vs("VIP 80", "alpha", rs(f"{R1} 80", A), rs(f"{R2} 80", B)),
    "omega": vs("VIP 80", "omega", rs(f"{R1} 80", A)),
    "quorum": vs("VIP 80", "quorum 3", "hysteresis 1", "sorry_server 198.51.100.9 80",
                 rs(f"{R1} 80", "weight 2", A), rs(f"{R2} 80", "weight 2", B), rs(f"{R3} 80", C)),
    "quorum_without_sorry": vs("VIP 80", "quorum 2", rs(f"{R1} 80", A), rs(f"{R2} 80", B)),
    "quorum_too_high": vs("VIP 80", "quorum 9", "sorry_server 198.51.100.9 80", *SAME),
    "sorry": vs("VIP 80", "sorry_server 198.51.100.9 8080", *TWO),
    "sorry_without_port": vs("VIP 80", "sorry_server 198.51.100.9", *TWO),
    "sorry_inhibit": vs("VIP 80", "sorry_server 198.51.100.9 80", "sorry_server_inhibit", *TWO),
    "sorry_method": vs(
        "VIP 80", "sorry_server 198.51.100.9 8080", "sorry_server_lvs_method NAT", *SAME, kind="DR"
    ),
    "sorry_tunnel": vs(
        "VIP 80", "sorry_server 2001:db8:2::9 80", "sorry_server_lvs_method TUN type gre csum",
        *SAME, kind="DR",
    ),
    "sorry_ipv6": vs("VIP6 80", "sorry_server 2001:db8:2::9 8080", *TWO6),
    "sorry_fwmark": vs("fwmark MARK", f"sorry_server {R3} 80", *SAME, kind="DR"),
    "sorry_is_a_server": vs("VIP 80", f"sorry_server {R2} 8080", *TWO),
    "names": vs("VIP 80", "virtualhost www.example.org", "snmp_name one", "smtp_alert",
                rs(f"{R1} 80", "snmp_name two", "smtp_alert no", "virtualhost x", A)),
    # By the newer keyword; from the start without a server.
    "lvs_sched": vs("VIP 80", "lvs_sched wlc", *TWO, algo=""),
    "alpha_of_one": vs("VIP 80", rs(f"{R1} 80", "alpha", A), rs(f"{R2} 80", B)),
}  # fmt: skip


RELOADED: dict[str, str] = {
    "scheduler_rr": vs("VIP 80", *TWO, algo="wlc"),
    "scheduler_wrr": vs("VIP 80", rs(f"{R1} 8080", "weight 9", A), rs(f"{R2} 8080", B), algo="wrr"),
    "scheduler_lc": vs("VIP 80", TWO[0], algo="lc"),
    "scheduler_wlc": vs("VIP 80", *TWO, rs(f"{R3} 8080", C), algo="wlc"),
    "scheduler_lblc": "",
    "group_range": group("10.N.0.2-4 80") + vs("group GROUP", *TWO),
    "group_fwmarks": group("fwmark MARK") + vs("group GROUP", *SAME, kind="DR"),
    "sh_port": vs("VIP 80", "sh-fallback", *TWO, algo="sh"),
    "persistence": vs("VIP 80", "persistence_timeout 200", *TWO),
    "granularity": vs("VIP 80", "persistence_timeout 60", "persistence_granularity 255.0.0.0", *TWO),
    "tunnel_gue": vs("VIP 80", *SAME, kind="TUN type gue port 6081 csum"),
    "tunnel_gre": vs("VIP 80", *SAME, kind="TUN"),
    "ipv6_dr": vs("VIP6 80", *SAME6, kind="TUN"),
    "thresholds": vs("VIP 80", rs(f"{R1} 80", "uthreshold 20", A), rs(f"{R2} 80", "uthreshold 7", B)),
    "sorry_inhibit": vs("VIP 80", "sorry_server 198.51.100.8 80", "sorry_server_inhibit", *TWO),
}
"""What the second file says instead; empty: it is not there any more."""


def configuration(*, reloaded: bool = False) -> str:
    """All of them as one file, after the files that the checks follow."""
    head = "".join(f"track_file {name} {{\n file /run/{name}\n}}\n" for name in "ABCW")
    texts = {**CORPUS, **RELOADED} if reloaded else CORPUS
    return head + "".join(numbered(number, text) for number, text in enumerate(texts.values(), 1))


def numbered(number: int, text: str) -> str:
    """A text with its number in the place of the names."""
    for name, value in (
        ("VIP6", f"2001:db8:1::{number}"), ("VIP", f"192.0.2.{number}"), ("MARK", str(1000 + number)),
        ("GROUP", f"G{number}"), ("fwmark 2N", f"fwmark {2000 + number}"), (".N.", f".{number}."),
        (":N:", f":{number}:"),
    ):  # fmt: skip
        text = text.replace(name, value)
    return text


def lines_of(name: str, table: Iterable[str]) -> list[str]:
    """What a table has of one of them."""
    number = list(CORPUS).index(name) + 1
    marks = (
        f" 192.0.2.{number}:", f" [2001:db8:1::{number}]:", f" -f {1000 + number} ", f" -f {2000 + number} ",
        f" 10.{number}.0.", f" [2001:db8:1:{number}::",
    )  # fmt: skip
    services = [(line, f"{line.partition(' -r ')[0]} ") for line in table]
    return [line for line, service in services if any(mark in service for mark in marks)]
