"""ipvlans and VRFs, which many kernels are built without: keepbus-vrrp beside Debian's keepalived."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from vrrp_nodes import Keepalived, Keepbus, Router, wait_for

from keepbus.config.compiler import compile_file
from keepbus.runtime import generation
from keepbus.testing.namespaces import Namespaces

ROOM = Path("/run/interfaces")
VIP = "10.9.0.100"
OURS = ("route", "show", "vrf", "red", "proto", "keepalived")
IPVLAN = """
vrrp_instance VI_1 {{
    interface eth0
    use_ipvlan {own}/24
    virtual_router_id 51
    version 3
    advert_int 0.25
    priority {priority}
    virtual_ipaddress {{
        10.9.0.100/24
    }}
}}
"""
IN_VRF = """
vrrp_instance VI_1 {{
    {where}
    virtual_router_id 51
    version 3
    advert_int 0.25
    priority {priority}
    unicast_src_ip {own}
    unicast_peer {{
        {peer} min_ttl 255
    }}
    virtual_ipaddress {{
        10.9.0.100/24 dev eth0
    }}
    {routes}
}}
"""


class Lan:
    """Two routers and a client at a bridge."""

    def __init__(self, spaces: Namespaces, name: str) -> None:
        self.spaces = spaces
        self.hub, *self.names = (spaces.add(name + each) for each in ("hub", "one", "other", "client"))
        ends = [(each, "eth0", f"10.9.0.{number}/24") for number, each in enumerate(self.names, 1)]
        spaces.bridge(self.hub, "br0", *ends)
        self.client = Router(spaces, self.names[2], "eth0", ROOM / name / "client")

    def keepbus(self, interface: str, text: str) -> Keepbus:
        router = Keepbus(self.spaces, self.names[0], interface, ROOM / self.names[0])
        path = router.directory / "keepalived.conf"
        path.write_text("global_defs {\n    address_lease no\n}\n" + text, encoding="utf-8")
        compiled = compile_file(path)
        assert compiled.configuration is not None, compiled.diagnostics
        generation.write(router.directory, compiled.configuration, path)
        return router

    def keepalived(self, interface: str, text: str) -> Keepalived:
        router = Keepalived(self.spaces, self.names[1], interface, ROOM / self.names[1])
        router.configure(text)
        return router

    def answers(self) -> bool:
        return self.client.reaches(VIP)

    def holds(self, router: Router, address: str = VIP) -> bool:
        """On whatever interface."""
        return any(
            each["addr_info"] for each in self.shown(router.namespace, "address", "show", "to", address)
        )

    def shown(self, namespace: str, *words: str) -> Any:
        return json.loads(self.spaces.run(namespace, "ip", "-j", *words) or "[]")


def ipvlan(spaces: Namespaces) -> dict[str, Any]:
    lan = Lan(spaces, "i")
    one = lan.keepbus("vrrp.51", IPVLAN.format(own="10.9.0.11", priority=150))
    other = lan.keepalived("vrrp.51", IPVLAN.format(own="10.9.0.12", priority=100))
    other.start()
    wait_for("keepalived is master", lambda: lan.holds(other), 30)
    one.start()
    wait_for("keepbus is master", lambda: lan.holds(one) and not lan.holds(other), 30)
    found: dict[str, Any] = {"answered by keepbus": lan.answers()}
    (details,) = lan.shown(one.namespace, "-d", "link", "show", "vrrp.51")
    (theirs,) = lan.shown(other.namespace, "-d", "link", "show", "vrrp.51")
    found["made"] = [each["linkinfo"] for each in (details, theirs)]
    (addresses,) = lan.shown(one.namespace, "address", "show", "vrrp.51")
    found["addresses"] = [each["local"] for each in addresses["addr_info"] if each["family"] == "inet"]
    spaces.run(one.namespace, "ip", "address", "del", "10.9.0.11/24", "dev", "vrrp.51")
    wait_for("its own address is back", lambda: lan.holds(one, "10.9.0.11"), 10)
    found["status"] = one.stop()
    wait_for("keepalived is master again", lambda: lan.holds(other), 15)
    found["answered by keepalived"] = lan.answers()
    found["left"] = [each["ifname"] for each in lan.shown(one.namespace, "link", "show", "type", "ipvlan")]
    other.stop()
    return found


def vrf(spaces: Namespaces) -> dict[str, Any]:
    lan = Lan(spaces, "v")
    inside = lan.names[0]
    spaces.run(inside, "ip", "link", "add", "red", "type", "vrf", "table", "1007")
    spaces.run(inside, "ip", "link", "set", "red", "up")
    spaces.run(inside, "ip", "link", "set", "eth0", "master", "red")
    routes = "virtual_routes {\n 10.77.0.0/16 via 10.9.0.3 dev eth0 vrf red\n}"
    one = lan.keepbus(
        "eth0",
        IN_VRF.format(where="vrf red", own="10.9.0.1", peer="10.9.0.2", priority=150, routes=routes),
    )
    other = lan.keepalived(
        "eth0",
        IN_VRF.format(where="interface eth0", own="10.9.0.2", peer="10.9.0.1", priority=100, routes=""),
    )
    other.start()
    wait_for("keepalived is master", lambda: lan.holds(other), 30)
    one.start()
    wait_for("keepbus is master", lambda: lan.holds(one) and not lan.holds(other), 30)
    time.sleep(1)  # it hears that keepalived is silent, and keepalived hears it
    found: dict[str, Any] = {
        "one master": lan.holds(one) and not lan.holds(other),
        "answers": lan.answers(),
        "routes": [each["dst"] for each in lan.shown(inside, *OURS)],
    }
    found["status"] = one.stop()
    found["routes left"] = lan.shown(inside, *OURS)
    other.stop()
    return found


def run() -> dict[str, Any]:
    with Namespaces("if") as spaces:
        return {"ipvlan": ipvlan(spaces), "vrf": vrf(spaces)}
