"""`net_namespace`, `instance` and `reload_time_file`: where a node lives, its name, when it reloads."""

from __future__ import annotations

import os
import subprocess
import time

from node_harness import Node, configuration, eventually, needs_namespaces, wire

pytestmark = needs_namespaces


def test_a_node_enters_its_network_namespace_and_stays_there() -> None:
    with wire(1) as (host,):
        text = f"net_namespace {host}\ninstance blue\n{configuration(200)}"
        made = Node("", text)
        try:
            made.start(named=False)
            inside = os.stat(f"/run/netns/{host}").st_ino
            assert {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in made.processes()} == {inside}
            assert inside != os.stat("/proc/self/ns/net").st_ino
            found = made.hear("state/vrrp/instance/", lambda m: m.body.holds_addresses, 10)
            assert found.header.node == "blue"
            made.file.write_text(text.replace(host, "elsewhere"), encoding="utf-8")
            moved = subprocess.run(
                made.command("reload"), capture_output=True, text=True, timeout=20, check=False
            )
            assert moved.returncode == 2
            assert "net_namespace is elsewhere now" in moved.stderr
            # Inside of it all goes on: here is what `reload_time_file` has for it.
            when = made.directory / "when"
            made.file.write_text(text + f"global_defs {{\n reload_time_file {when}\n}}\n", encoding="utf-8")
            subprocess.run(made.command("reload"), check=True, capture_output=True, timeout=20)
            when.write_text(time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time.time() + 2)))
            eventually("the timed reload", lambda: "every service runs generation 3" in made.said(), 10)
            assert not when.exists()
            assert made.stop() == 0
        finally:
            made.destroy()


def test_one_that_does_not_exist_is_said() -> None:
    made = Node("", f"net_namespace keepbus-none\n{configuration(200)}")
    try:
        done = subprocess.run(
            made.command("up", "-f", str(made.file)), capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 2
        assert "make it with `ip netns add keepbus-none`" in done.stderr
    finally:
        made.destroy()
