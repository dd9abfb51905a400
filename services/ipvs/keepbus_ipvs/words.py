"""Commands and entries in ipvsadm's words, as operators know them."""

from __future__ import annotations

from keepbus_ipvs.diff import Command, Verb
from keepbus_ipvs.table import (
    AF_INET6,
    CHECKSUM,
    DIRECT,
    GRE,
    GUE,
    IPIP,
    LOCAL,
    MASQUERADE,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_FLAGS,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    WHOLE_ADDRESS,
    Destination,
    DestinationKey,
    Entry,
    Service,
    ServiceKey,
    endpoint,
)

PROTOCOLS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_PROTOCOL_OPTIONS = {TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}
_FORWARDING_OPTIONS = {MASQUERADE: "-m", LOCAL: "-g", TUNNEL: "-i", DIRECT: "-g"}
FORWARDING_NAMES = {MASQUERADE: "Masq", LOCAL: "Local", TUNNEL: "Tunnel", DIRECT: "Route"}
_FLAG_NAMES = ("fallback", "port")
_TUNNELS = {GUE: "gue", GRE: "gre"}
_CHECKSUMS = {CHECKSUM: "csum", REMOTE_CHECKSUM: "remcsum"}
_VERBS = {
    Verb.ADD_SERVICE: "-A",
    Verb.EDIT_SERVICE: "-E",
    Verb.REMOVE_SERVICE: "-D",
    Verb.ADD_DESTINATION: "-a",
    Verb.EDIT_DESTINATION: "-e",
    Verb.REMOVE_DESTINATION: "-d",
}
_ACTIONS = {
    Verb.ADD_SERVICE: "add",
    Verb.EDIT_SERVICE: "edit",
    Verb.REMOVE_SERVICE: "remove",
    Verb.ADD_DESTINATION: "add",
    Verb.EDIT_DESTINATION: "edit",
    Verb.REMOVE_DESTINATION: "remove",
}


def of_command(command: Command) -> str:
    """`-a -t 172.16.1.254:80 -r 172.16.1.3:80 -g -w 1`."""
    verb, service, destination = command
    words = f"{_VERBS[verb]} {of_key(service.key)}"
    if verb in (Verb.ADD_SERVICE, Verb.EDIT_SERVICE):
        return f"{words} {of_settings(service)}"
    if destination is None:
        return words
    if verb is Verb.REMOVE_DESTINATION:
        return f"{words} -r {endpoint(*destination.key)}"
    return f"{words} {of_destination(destination)}"


def action(command: Command) -> str:
    """`add`, `edit` or `remove`."""
    return _ACTIONS[command.verb]


def of_key(key: ServiceKey) -> str:
    """`-t 172.16.1.254:80`, `-f 7`, `-f 7 -6`."""
    if key.fwmark:
        return f"-f {key.fwmark}" + (" -6" if key.family == AF_INET6 else "")
    option = _PROTOCOL_OPTIONS.get(key.protocol, f"protocol {key.protocol}")
    return f"{option} {endpoint(key.address, key.port)}"


def of_endpoint(key: ServiceKey | DestinationKey) -> str:
    """`172.16.1.254:80`, IPv6 in brackets."""
    return endpoint(key.address, key.port)


def of_settings(service: Service) -> str:
    """`-s rr -p 300 -M 255.255.255.0`."""
    words = f"-s {service.scheduler}"
    if service.flags & PERSISTENT:
        words += f" -p {service.timeout_s}"
        if service.netmask != WHOLE_ADDRESS[service.key.family]:
            words += f" -M {service.netmask}"
    if service.engine:
        words += f" --pe {service.engine}"
    if service.flags & ONE_PACKET:
        words += " -o"
    names = [
        _scheduler_flag(service.scheduler, bit) for bit in SCHEDULER_FLAGS.values() if service.flags & bit
    ]
    return f"{words} -b {','.join(names)}" if names else words


def _scheduler_flag(scheduler: str, bit: int) -> str:
    number = list(SCHEDULER_FLAGS.values()).index(bit)
    return f"{scheduler}-{_FLAG_NAMES[number]}" if number < len(_FLAG_NAMES) else f"flag-{number + 1}"


def of_destination(destination: Destination) -> str:
    """`-r 172.16.1.3:80 -g -w 1`."""
    option = _FORWARDING_OPTIONS.get(destination.forwarding, f"method {destination.forwarding}")
    words = f"-r {endpoint(*destination.key)} {option} -w {destination.weight}"
    if destination.upper:
        words += f" -x {destination.upper}"
    if destination.lower:
        words += f" -y {destination.lower}"
    if destination.tunnel != IPIP:
        words += f" --tun-type {_TUNNELS.get(destination.tunnel, destination.tunnel)}"
        if destination.tunnel_port:
            words += f" --tun-port {destination.tunnel_port}"
        words += f" --tun-{_CHECKSUMS.get(destination.tunnel_flags, 'nocsum')}"
    return words


def of_entry(entry: Entry | None) -> str:
    """A service with its destinations in one line; `no service` when there is none."""
    if entry is None:
        return "no service"
    words = [f"{of_key(entry.service.key)} {of_settings(entry.service)}"]
    words += [of_destination(destination) for destination in entry.destinations.values()]
    return "; ".join(words)
