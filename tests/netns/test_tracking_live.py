"""Tracking of real scripts, files and interfaces, beside the distribution's keepalived (features 5.5, 7)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from node_harness import INTERFACE, Node, eventually, ip, needs_namespaces, wire
from vrrp_nodes import KEEPALIVED, Keepalived

from keepbus.contracts.vrrp import VrrpState
from keepbus.testing.namespaces import Namespaces

pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(not KEEPALIVED, reason="keepalived is not installed; apt-get install keepalived"),
]

_SIGJSON = signal.SIGRTMIN + 2
_REPORT = Path("/tmp/keepalived.json")
_FAULT = 3

TRACKERS = """
global_defs {{
    script_user root
}}
vrrp_script up {{
    script "/usr/bin/true"
    interval 1
}}
vrrp_script down {{
    script "/usr/bin/false"
    interval 1
}}
vrrp_script gone {{
    script "/usr/bin/test -e {directory}/alive"
    interval 1
    fall 2
}}
track_file seven {{
    file {directory}/seven
}}
track_file zero {{
    file {directory}/zero
}}
"""

# What an instance tracks, and its priority.
COMBINATIONS: tuple[tuple[int, str], ...] = (
    (100, "track_script {\nup weight 20\n}"),
    (100, "track_script {\nup weight -20\n}"),
    (100, "track_script {\ndown weight 20\n}"),
    (100, "track_script {\ndown weight -20\n}"),
    (100, "track_script {\nup weight 20 reverse\n}"),
    (100, "track_script {\ndown weight 20 reverse\n}"),
    (100, "track_script {\nup weight -20 reverse\n}"),
    (100, "track_script {\ndown weight -20 reverse\n}"),
    (100, "track_script {\nup\n}"),
    (100, "track_script {\ndown\n}"),
    (100, "track_script {\nup weight 0 reverse\n}"),
    (100, "track_script {\nup weight 50\ndown weight -30\n}"),
    (200, "track_script {\nup weight 100\n}"),
    (50, "track_script {\ndown weight -100\n}"),
    (255, "track_script {\ndown weight -20\n}"),
    (255, "track_script {\ndown\n}"),
    (100, "track_file {\nseven\n}"),
    (100, "track_file {\nseven weight 3\n}"),
    (100, "track_file {\nseven weight -3\n}"),
    (100, "track_file {\nseven weight 2 reverse\n}"),
    (100, "track_file {\nseven weight 0\n}"),
    (100, "track_file {\nzero weight 0\n}"),
    (100, "track_file {\nzero weight 0 reverse\n}"),
    (100, "track_file {\nseven weight 40\n}"),
    (100, "track_file {\nseven weight -40\n}"),
    (100, "track_interface {\nlow0 weight -10\n}"),
    (100, "track_interface {\nhigh0 weight 10\n}"),
    (100, "track_interface {\nlow0\n}"),
    (100, "track_interface {\nhigh0 weight 10 reverse\n}"),
    (100, "track_interface {\nhigh0\n}\ntrack_file {\nseven\n}\ntrack_script {\nup weight 1\n}"),
)


def instances() -> str:
    return "\n".join(
        f"""
vrrp_instance VI_{number} {{
    state BACKUP
    interface {INTERFACE}
    virtual_router_id {number}
    priority {priority}
    advert_int 1
    {lines}
    virtual_ipaddress {{
        198.51.100.{number}/24
    }}
}}"""
        for number, (priority, lines) in enumerate(COMBINATIONS, 1)
    )


def one(priority: int) -> str:
    return f"""
vrrp_instance VI_1 {{
    state BACKUP
    interface {INTERFACE}
    virtual_router_id 51
    priority {priority}
    advert_int 1
    track_script {{
        gone weight -60
    }}
    virtual_ipaddress {{
        192.0.2.100/24
    }}
}}
"""


class Theirs(Keepalived):
    """keepalived with a file of its own."""

    def write(self, text: str) -> None:
        (self.directory / "keepalived.conf").write_text(text, encoding="utf-8")

    def report(self) -> dict[str, dict[str, Any]]:
        """Its instances by name, as its own JSON has them."""
        _REPORT.unlink(missing_ok=True)
        os.kill(self.vrrp_pid(), _SIGJSON)

        def read() -> list[dict[str, Any]]:
            try:
                found: list[dict[str, Any]] = json.loads(_REPORT.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return []
            return found

        eventually("keepalived's report", lambda: bool(read()), 10)
        found = {each["data"]["iname"]: each["data"] for each in read()}
        _REPORT.unlink()
        return found


def prepare(directory: Path) -> str:
    """The files that are tracked; the configuration of the trackers."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("seven", "7\n"), ("zero", "0\n"), ("alive", "")):
        (directory / name).write_text(content, encoding="utf-8")
    return TRACKERS.format(directory=directory)


@pytest.fixture
def places() -> Iterator[list[str]]:
    with wire(2) as names:
        for name in names:
            ip("-n", name, "link", "add", "high0", "type", "veth", "peer", "name", "high1")
            ip("-n", name, "link", "set", "high0", "up")
            ip("-n", name, "link", "set", "high1", "up")
            ip("-n", name, "link", "add", "low0", "type", "bridge")
        yield names


def ours_of(node: Node) -> dict[str, Any]:
    """What a node says of its instances."""
    words = node.command("status", "--json")
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    found: dict[str, Any] = json.loads(done.stdout)["instances"] if done.stdout else {}
    return found


def test_priorities_and_faults_are_keepalived_s_for_every_combination(
    places: list[str], tmp_path: Path
) -> None:
    """P4: the same file on both sides; whether each is in FAULT, and the effective priority of those that
    are not."""
    with Namespaces("trk") as spaces:
        theirs = Theirs(spaces, places[1], INTERFACE, tmp_path / "theirs")
        text = prepare(tmp_path / "files") + instances()
        theirs.write(text)
        theirs.start()
        node = Node(places[0], text)
        try:
            node.start()
            time.sleep(3)  # both ran every script twice
            told = theirs.report()
            expected = {
                name: (each["state"] == _FAULT, each["effective_priority"]) for name, each in told.items()
            }
            assert len(expected) == len(COMBINATIONS)

            def found() -> dict[str, tuple[bool, int]]:
                return {
                    name: (each["state"] == "FAULT", each["effective_priority"])
                    for name, each in ours_of(node).items()
                }

            def same() -> dict[str, Any]:
                ours = found()
                return {
                    f"{name} {COMBINATIONS[int(name[3:]) - 1]}": (ours.get(name), wanted)
                    for name, wanted in expected.items()
                    if ours.get(name) != wanted and not (wanted[0] and ours.get(name, (False, 0))[0])
                }

            try:
                eventually("the same priorities", lambda: not same(), 5, 0.3)
            finally:
                print("ours and theirs where they differ:", same())
        finally:
            node.destroy()


def state_of(node: Node) -> tuple[str, int]:
    found = ours_of(node).get("VI_1")
    return (found["state"], found["effective_priority"]) if found else ("", 0)


@pytest.mark.parametrize("ours_fails", [True, False], ids=["ours fails", "theirs fails"])
def test_p5_a_script_that_fails_hands_the_addresses_to_the_peer(
    places: list[str], tmp_path: Path, ours_fails: bool
) -> None:
    with Namespaces("trk") as spaces:
        theirs = Theirs(spaces, places[1], INTERFACE, tmp_path / "theirs")
        theirs.write(prepare(tmp_path / "b") + one(100 if ours_fails else 150))
        node = Node(places[0], prepare(tmp_path / "a") + one(150 if ours_fails else 100))
        try:
            theirs.start()
            node.start()
            first, second = ("MASTER", "BACKUP") if ours_fails else ("BACKUP", "MASTER")
            eventually("the first master", lambda: state_of(node)[0] == first, 12, 0.2)
            eventually("its address", lambda: theirs.has("192.0.2.100") is not ours_fails, 8)
            flag = tmp_path / ("a" if ours_fails else "b") / "alive"
            flag.unlink()
            eventually("the other master", lambda: state_of(node)[0] == second, 12, 0.2)
            eventually("its address", lambda: theirs.has("192.0.2.100") is ours_fails, 8)
            if ours_fails:
                assert state_of(node) == ("BACKUP", 90)
                cause = ours_of(node)["VI_1"]["cause"]
                assert cause == (
                    "192.0.2.2 advertises priority 100, higher than 90 here; "
                    "script gone failed (exit status 1): priority 150 → 90"
                )
                said = subprocess.run(
                    node.command("status"), capture_output=True, check=False, text=True
                ).stdout
                assert "priority 90 = 150 - 60 gone" in said
            flag.touch()
            eventually("the first master again", lambda: state_of(node)[0] == first, 12, 0.2)
        finally:
            node.destroy()


def test_r_f9_checker_and_hub_may_die_and_nothing_moves(places: list[str], tmp_path: Path) -> None:
    """kill -9 of each, and both: no transition, and tracking works afterwards."""
    text = prepare(tmp_path) + one(100).replace("gone weight -60", "gone")
    node = Node(places[0], text)
    try:
        node.start()
        eventually("MASTER", lambda: state_of(node)[0] == "MASTER", 12, 0.2)
        body = node.hear("state/vrrp/instance/", lambda m: m.body.state is VrrpState.MASTER, 5).body
        for victims in (("checker",), ("hub", "checker")):
            for victim in victims:
                os.kill(node.pid(victim), signal.SIGKILL)
            time.sleep(2.5)
            now = node.hear("state/vrrp/instance/", lambda m: m.body.name == "VI_1", 8).body
            assert (now.state, now.transitions, now.life) == (VrrpState.MASTER, body.transitions, body.life)
            assert [part.verdict for part in now.trackers] == ["up"]
        (tmp_path / "alive").unlink()
        fault = node.hear("state/vrrp/instance/", lambda m: m.body.state is VrrpState.FAULT, 8).body
        assert fault.faults == ("script gone failed (exit status 1)",)
        assert fault.transitions == body.transitions + 1
    finally:
        node.destroy()


def test_dont_track_primary_keeps_a_master_whose_cable_was_pulled(places: list[str], tmp_path: Path) -> None:
    text = prepare(tmp_path) + one(100).replace("track_script", "dont_track_primary\n    track_script")
    node = Node(places[0], text)
    try:
        node.start()
        eventually("MASTER", lambda: state_of(node)[0] == "MASTER", 12, 0.2)
        body = node.hear("state/vrrp/instance/", lambda m: m.body.state is VrrpState.MASTER, 5).body
        ip("-n", f"kbnode{os.getpid()}sw", "link", "set", "p1", "down")
        time.sleep(6)  # more than a lease and a master down interval
        now = node.hear("state/vrrp/instance/", lambda m: m.body.name == "VI_1", 8).body
        assert (now.state, now.transitions) == (VrrpState.MASTER, body.transitions)
        shown = subprocess.run(
            ["ip", "-n", places[0], "address", "show", "dev", INTERFACE],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        assert "192.0.2.100/" in shown
        assert "NO-CARRIER" in shown
    finally:
        node.destroy()
