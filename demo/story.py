"""The story: one address on two directors, two addresses on two directors, a crash, a balanced service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from demo import network
from demo.hosts import Node, WebServer, fetch
from demo.narrator import Narrator

SEED = Path(__file__).resolve().parents[1] / "tests" / "seed"
SINGLE_VIP = "172.16.1.99"
SECOND_VIP = "172.16.1.88"
SERVICE_VIP = "172.16.1.188"
_TAKEOVER_S = 30.0
"""Longer than a busy machine takes to start a node; a takeover itself is 3.6 s."""


class Story:
    """The chapters, and the hosts that they play on."""

    def __init__(self, narrator: Narrator, work: Path) -> None:
        self.say = narrator
        self.work = work
        self.d1 = Node("d1", work)
        self.d2 = Node("d2", work)
        self.web = {name: WebServer(name, name) for name in network.WEB}
        self.sorry = WebServer("d1", "sorry server on d1")

    def tell(self) -> None:
        """All chapters in order."""
        with self.say.timed("network built: client, d1, d2, web1, web2"):
            network.build()
        self.findings()
        self.single_instance()
        self.multi_instance()
        self.crash()
        self.balancing()

    def end(self) -> None:
        """Stop everything that still runs."""
        for node in (self.d1, self.d2):
            node.stop()
        for server in (*self.web.values(), self.sorry):
            server.kill()

    def findings(self) -> None:
        """The files as they stand, faults included."""
        self.say.chapter(
            "The files", "The seed's configurations carry faults that keepalived passes over in silence."
        )
        status, text = self.keepbus("check", str(SEED / "nat-drct2.conf"))
        self.say.show(text)
        self.say.expect(
            "a missing brace and a missing virtual_router_id are errors",
            lambda: f"exit {status}" if status == 2 else None,
            within_s=0,
        )

    def single_instance(self) -> None:
        """d1 stops, d2 takes over, d1 returns and preempts."""
        self.say.chapter(
            "Single instance", "d1 is MASTER with priority 100, d2 BACKUP with 90, for 172.16.1.99."
        )
        self.d1.start(SEED / "single-drct1.conf", "--permissive")
        self.d2.start(SEED / "single-drct2.conf")
        self.holder(self.d1, SINGLE_VIP, "VI_1")
        self.elsewhere(self.d2, SINGLE_VIP, "VI_1")
        self.answers(SINGLE_VIP)
        self.stop(self.d1)
        self.holder(self.d2, SINGLE_VIP, "VI_1")
        self.answers(SINGLE_VIP)
        self.d1.start(SEED / "single-drct1.conf", "--permissive")
        self.holder(self.d1, SINGLE_VIP, "VI_1", word="d1 returns and preempts")
        self.elsewhere(self.d2, SINGLE_VIP, "VI_1")
        self.answers(SINGLE_VIP)
        self.say.tell("keepbus explain VI_1, asked on d2:")
        self.say.show(self.keepbus("explain", "VI_1", "-r", str(self.d2.run_dir))[1])
        self.stop(self.d1)
        self.stop(self.d2)

    def multi_instance(self) -> None:
        """Each director is master of one address; both addresses go to the one that stays."""
        self.say.chapter(
            "Multi instance", "Two addresses; each director is MASTER of one and BACKUP of the other."
        )
        self.d1.start(SEED / "multi-drct1.conf")
        self.d2.start(SEED / "multi-drct2.conf")
        self.holder(self.d1, SINGLE_VIP, "VI_1")
        self.holder(self.d2, SECOND_VIP, "VI_2")
        self.stop(self.d1)
        self.holder(self.d2, SINGLE_VIP, "VI_1", word="both addresses on d2")
        self.holder(self.d2, SECOND_VIP, "VI_2", word="both addresses on d2")
        self.answers(SINGLE_VIP)
        self.answers(SECOND_VIP)

    def crash(self) -> None:
        """A crash is not a failover; a dead node lets go by itself."""
        self.say.chapter(
            "A crash is not a failover",
            "d1 returns, now with a notify script; then its vrrp is killed with -9.",
        )
        notified = self.work / "notified"
        self.d1.start(self.with_notify(SEED / "multi-drct1.conf", notified))
        self.holder(self.d1, SINGLE_VIP, "VI_1")
        self.say.expect(
            "the notify script ran",
            lambda: _last_line(notified) if "MASTER" in _last_line(notified) else None,
            within_s=10,
        )
        before = self.d1.instance("VI_1")
        runs = notified.read_text().count("\n")
        victim = self.d1.services["vrrp"].pid
        os.kill(victim, signal.SIGKILL)
        self.say.expect("vrrp is back as another process", lambda: self.successor(victim), within_s=10)
        self.say.expect(
            "no transition: still MASTER, the address never left, nobody was notified",
            lambda: self.undisturbed(before.transitions if before else -1, notified, runs),
            within_s=5,
        )
        self.answers(SINGLE_VIP)
        self.say.tell("Now every process of d1 is frozen at once, as a hanging machine is:")
        frozen = self.freeze_d1()
        self.say.expect(
            "the kernel of d1 lets the address go by itself",
            lambda: "lease expired" if not network.holds("d1", SINGLE_VIP) else None,
            within_s=10,
        )
        self.say.expect(
            "and d2 takes it only after that",
            lambda: (
                self.d2.cause("VI_1")
                if self.d2.state("VI_1") == "MASTER" and network.holds("d2", SINGLE_VIP)
                else None
            ),
            within_s=10,
        )
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        self.holder(self.d1, SINGLE_VIP, "VI_1", word="d1 thaws and preempts")
        self.stop(self.d1)
        self.stop(self.d2)

    def balancing(self) -> None:
        """Requests are spread; a dead server is taken out; the sorry server; one returns."""
        self.say.chapter(
            "LVS", "172.16.1.188:80 on d1 is balanced over web1 and web2, checked with HTTP_GET."
        )
        for server in (*self.web.values(), self.sorry):
            server.start()
        self.d1.start(SEED / "nat-drct1.conf")
        self.holder(self.d1, SERVICE_VIP, "VI_1")
        self.say.expect("requests are spread over both", lambda: self.spread({"web1", "web2"}), within_s=20)
        self.web["web1"].kill()
        self.say.expect("web1 dies and is taken out", lambda: self.spread({"web2"}), within_s=20)
        self.web["web2"].kill()
        self.say.expect(
            "all are dead: the sorry server answers", lambda: self.spread({"sorry server on d1"}), within_s=20
        )
        self.say.tell("keepbus status, asked on d1:")
        self.say.show(self.keepbus("status", "-r", str(self.d1.run_dir))[1])
        self.web["web2"].start()
        self.say.expect("web2 returns and serves again", lambda: self.spread({"web2"}), within_s=20)

    def holder(self, node: Node, address: str, name: str, *, word: str = "") -> None:
        """The node becomes MASTER of the instance and has the address."""
        self.say.expect(
            f"{word + ': ' if word else ''}{address} is on {node.host}, {name} is MASTER there",
            lambda: (
                node.cause(name)
                if node.state(name) == "MASTER" and network.holds(node.host, address)
                else None
            ),
            within_s=_TAKEOVER_S,
        )

    def elsewhere(self, node: Node, address: str, name: str) -> None:
        """The node is BACKUP and has not the address."""
        self.say.expect(
            f"{address} is not on {node.host}, {name} is BACKUP there",
            lambda: (
                node.cause(name)
                if node.state(name) == "BACKUP" and not network.holds(node.host, address)
                else None
            ),
            within_s=_TAKEOVER_S,
        )

    def answers(self, address: str) -> None:
        """The client gets an answer."""
        self.say.expect(
            f"{address} answers the client",
            lambda: network.neighbour("client", address) if network.ping("client", address) else None,
            within_s=10,
        )

    def stop(self, node: Node) -> None:
        """Stop a node as its user does."""
        with self.say.timed(f"{node.host} stopped"):
            node.stop()

    def successor(self, victim: int) -> str | None:
        """The new process of vrrp on d1."""
        self.d1.look()
        pid = self.d1.services["vrrp"].pid
        return f"pid {victim} → {pid}" if pid != victim else None

    def undisturbed(self, transitions: int, notified: Path, runs: int) -> str | None:
        """d1 is as it was before its vrrp was killed."""
        instance = self.d1.instance("VI_1")
        if instance is None or instance.state != "MASTER" or instance.transitions != transitions:
            return None
        if not network.holds("d1", SINGLE_VIP) or notified.read_text().count("\n") != runs:
            return None
        return f"transition {transitions} as before"

    def freeze_d1(self) -> list[int]:
        """Stop every process of d1 with SIGSTOP; their ids."""
        pids = [int(word) for word in network.run("ip", "netns", "pids", "d1").split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def spread(self, wanted: set[str]) -> str | None:
        """Who answers six requests, when it is exactly those wanted."""
        pages = Counter(fetch("client", SERVICE_VIP) for _ in range(6))
        return (
            ", ".join(f"{page} {count}×" for page, count in sorted(pages.items()))
            if set(pages) == wanted
            else None
        )

    def with_notify(self, configuration: Path, output: Path) -> Path:
        """The configuration with a notify script in its first instance, as a user would add it."""
        script = self.work / "notify.sh"
        script.write_text(f'#!/bin/sh\necho "$@" >> {output}\n')
        script.chmod(0o755)
        changed = self.work / configuration.name
        line = "vrrp_instance VI_1 {\n"
        text = configuration.read_text(encoding="utf-8")
        changed.write_text(text.replace(line, f'{line}    notify "{script}" root\n', 1), encoding="utf-8")
        return changed

    def keepbus(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of a keepbus command."""
        done = subprocess.run(
            [sys.executable, "-m", "keepbus.cli", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


def _last_line(path: Path) -> str:
    return path.read_text().splitlines()[-1] if path.exists() and path.read_text() else ""
