"""Traffic through tunnels, persistence, a drained server and a flushed table; the host's own settings.

A client, a director and two servers on one bridge; the director's machine is turned by hand.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from ipvs_wire import inside, ip, sysctl
from rig import Rig, compiled

from keepbus.contracts import ipvs as contract
from keepbus.contracts.vrrp import Instance, VrrpState

PLACES = {"mc": "10.9.0.100", "md": "10.9.0.1", "m1": "10.9.0.11", "m2": "10.9.0.12"}
SERVERS = ("m1", "m2")
GUE, IPIP, GRE, STICKY, PLAIN = "10.9.0.249", "10.9.0.251", "10.9.0.252", "10.9.0.253", "10.9.0.254"
LIMITED = "10.9.0.248"
VIPS = (GUE, IPIP, GRE, STICKY, PLAIN, LIMITED)
GUE_PORT = 6080
REFUSED = "refused"


def virtual(vip: str, method: str, *lines: str, names: tuple[str, ...] = SERVERS, each: str = "") -> str:
    servers = "\n".join(f"real_server {PLACES[name]} 80 {{\n{each}\n}}" for name in names)
    return "virtual_server {} 80 {{\nlb_algo rr\nlb_kind {}\nprotocol TCP\n{}\n{}\n}}\n".format(
        vip, method, "\n".join(lines), servers
    )


TEXT = (
    virtual(IPIP, "TUN")
    + virtual(GRE, "TUN type gre")
    + virtual(GUE, f"TUN type gue port {GUE_PORT}")
    + virtual(STICKY, "DR", "persistence_timeout 60")
    + virtual(LIMITED, "DR", each="uthreshold 1\nlthreshold 1")
)
WITHOUT_M1 = TEXT + virtual(PLAIN, "DR", names=SERVERS[1:])
TEXT += virtual(PLAIN, "DR")
SETTINGS = """
global_defs {
    lvs_sync_daemon eth0 VI_1 id 5 maxlen 1200 port 8900 ttl 3 group 224.0.0.82
    lvs_timeouts tcp 77 udp 9
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.9.0.250
    }
}
"""


class Echo:
    """A server that says its name, and again for each octet that comes."""

    def __init__(self, namespace: str) -> None:
        self.name = namespace.encode()
        self.socket: socket.socket = inside(namespace, lambda: socket.create_server(("0.0.0.0", 80)))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        while connection.recv(1):
            connection.sendall(self.name)


class Talk:
    """A connection of the client that stays."""

    def __init__(self, vip: str) -> None:
        self.socket: socket.socket = inside("mc", lambda: socket.create_connection((vip, 80), 5))
        self.socket.settimeout(5)

    def say(self) -> str:
        """One octet there; who answers."""
        self.socket.sendall(b"x")
        return self.socket.recv(2).decode()

    def once(self) -> str:
        """The same, and hang up."""
        try:
            return self.say()
        finally:
            self.socket.close()


def asked(vip: str, times: int) -> list[str]:
    return sorted(Talk(vip).once() for _ in range(times))


def run() -> dict[str, Any]:
    build()
    echoes = [Echo(name) for name in SERVERS]
    rig: Rig = inside("md", lambda: started(TEXT))
    found: dict[str, Any] = {vip: asked(vip, 4) for vip in (IPIP, GRE, GUE, STICKY, PLAIN)}

    staying = {who: Talk(PLAIN) for who in ("first", "second")}
    before = {who: talk.say() for who, talk in staying.items()}
    rig.tell(contract.Drain(real_server="10.9.0.11"))
    found["drained"] = {
        "stay": {who: talk.say() for who, talk in staying.items()} == before,
        "both": sorted(before.values()),
        "new": asked(PLAIN, 4),
        "through_tunnels": asked(IPIP, 2),
    }
    rig.tell(contract.Drain(real_server="10.9.0.11", undo=True))
    found["limited"] = limited()
    found["removed"] = removed(rig, next(talk for who, talk in staying.items() if before[who] == "m1"))
    for undo in (False, True):
        rig.tell(contract.Drain(real_server="10.9.0.11", undo=undo))
        rig.tell(contract.Drain(real_server="10.9.0.12", undo=undo))
        if not undo:
            found["all drained"] = refused(PLAIN)

    subprocess.run(["ip", "netns", "exec", "md", "ipvsadm", "-C"], check=True)
    rig.take_written()
    healed_s = rig.pass_time(lambda: len(rig.written) >= 3 * len(VIPS))
    found["flushed"] = {
        "healed_s": healed_s,
        "stay": {who: talk.say() for who, talk in staying.items()} == before,
        "new": asked(PLAIN, 4),
    }
    rig.stop()
    found["settings"] = inside("md", settings)
    assert echoes
    return found


def limited() -> list[str]:
    """Who answers, with room for one connection at each; then nobody has room."""
    talks = [Talk(LIMITED) for _ in SERVERS]
    answers = sorted(talk.say() for talk in talks)
    return [*answers, refused(LIMITED)]


def removed(rig: Rig, talk: Talk) -> dict[str, str]:
    """What becomes of a connection whose server a reload takes out, and one second later puts back."""
    rig.configure(compiled(WITHOUT_M1))
    talk.socket.settimeout(0.7)
    try:
        found = {"while away": talk.say()}
    except TimeoutError:
        found = {"while away": "silence"}
    talk.socket.settimeout(5)
    rig.configure(compiled(TEXT))
    # The client's own TCP has kept the octet, and sends it again.
    found["back"] = talk.socket.recv(2).decode()
    found["after that"] = talk.say()
    return found


def refused(vip: str) -> str:
    """`refused` when a connection is refused at once; else who answers."""
    try:
        return Talk(vip).once()
    except ConnectionRefusedError:
        return REFUSED


def settings() -> dict[str, list[str]]:
    """The sync daemon and the time-outs with an instance that comes and goes; in the director."""
    found = {"before": shown()}
    rig = started(TEXT.replace("TUN", "DR") + SETTINGS)
    for state in (VrrpState.BACKUP, VrrpState.MASTER, VrrpState.FAULT):
        rig.tell(instance(state))
        found[state] = shown()
    rig.tell(instance(VrrpState.MASTER))
    again = Rig(rig.run_dir)
    again.configure(compiled(TEXT.replace("TUN", "DR") + SETTINGS))
    again.tell(instance(VrrpState.MASTER))
    found["after a crash"] = shown()
    again.stop()
    found["stopped"] = shown()
    return found


def shown() -> list[str]:
    lines = []
    for what in ("--daemon", "--timeout"):
        command = ["ipvsadm", "-L", what]
        lines += subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return lines


def instance(state: VrrpState) -> Instance:
    return Instance(
        name="VI_1", interface="eth0", family="IPv4", virtual_router_id=51, version=2, life="1", state=state,
        transitions=1, since_ns=1, cause="", base_priority=100, effective_priority=100,
        advert_interval_us=1, master_down_interval_us=3, master_address="", master_priority=0,
        virtual_addresses=(), holds_addresses=state is VrrpState.MASTER, lease_us=0,
    )  # fmt: skip


def started(text: str) -> Rig:
    rig = Rig(Path(tempfile.mkdtemp()))
    rig.configure(compiled(text))
    return rig


def build() -> None:
    """Everybody on one bridge, the virtual addresses on the director, and hidden on the servers (W2, W3)."""
    subprocess.run(["modprobe", "-a", "ipip", "ip_gre", "fou"], check=True)
    lines = ["link add methods type bridge", "link set methods up"]
    for name in PLACES:
        lines += [
            f"netns add {name}",
            f"link add {name}-port master methods type veth peer name eth0 netns {name}",
            f"link set {name}-port up",
        ]
    ip(lines)
    for name, address in PLACES.items():
        own = ["link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up"]
        if name == "md":
            own += [f"addr add {vip}/32 dev eth0" for vip in VIPS]
        if name in SERVERS:
            own += [f"addr add {vip}/32 dev lo" for vip in (STICKY, PLAIN, LIMITED)]
            for device, vip in (("tunl0", IPIP), ("gre0", GRE)):
                own += [f"link set {device} up", f"addr add {vip}/32 dev {device}"]
            # What comes in GUE holds what tunl0 takes.
            own += [f"addr add {GUE}/32 dev tunl0", f"fou add port {GUE_PORT} gue"]
        ip(own, name)
    for name in SERVERS:
        sysctl(name, conf__all__arp_ignore=1, conf__all__arp_announce=2, conf__all__rp_filter=0)
        sysctl(name, conf__tunl0__rp_filter=0, conf__gre0__rp_filter=0, conf__eth0__rp_filter=0)
