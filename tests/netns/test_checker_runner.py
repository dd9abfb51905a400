"""A checker process with its runner of scripts: whose rights they have, and that nothing is left behind."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from checker_node import Node
from checker_servers import check

from keepbus.config.model.checker import Check, CheckKind, MiscCommand
from keepbus.config.model.scripts import Script
from keepbus.contracts.checker import Verdict

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: nothing was tried about scripts of other users"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not in pytest's directory, which is closed to other users.
    folder = Path("/tmp") / f"kb-runner-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.close()


def script(folder: Path, text: str) -> Path:
    path = folder / "check"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def misc(path: Path, user: str = "", *, dynamic: bool = False, timeout_us: int = 60_000_000) -> Check:
    command = MiscCommand(script=Script(argv=(str(path),), user=user), timeout_us=timeout_us, dynamic=dynamic)
    return check(CheckKind.MISC_CHECK, 0, name="misc", urls=(), address="", misc=command)


def me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def capabilities(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {
        name: int(value, 16) for name, _, value in (line.partition(":\t") for line in lines) if "Cap" in name
    }


def is_gone(pid: int) -> Callable[[], bool]:
    def look() -> bool:
        try:
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            return True

    return look


def told(node: Node) -> tuple[Verdict, str, int | None]:
    node.wait(lambda: (verdict := node.verdict("misc")) is not None and verdict.probes > 0)
    verdict = node.verdict("misc")
    assert verdict is not None
    assert verdict.evidence is not None
    return verdict.verdict, verdict.evidence.received, verdict.weight


@needs_root
def test_a_script_runs_as_its_user_and_its_weight_arrives(node: Node, folder: Path) -> None:
    node.start([misc(script(folder, "id -un; exit 42"), "nobody", dynamic=True)])
    assert told(node) == (Verdict.UP, "exit status 42, weight 40: nobody", 40)


@needs_root
def test_who_talks_to_the_network_holds_nothing(node: Node, folder: Path) -> None:
    node.start([misc(script(folder, "grep CapBnd /proc/self/status"), "root")])
    verdict, received, _ = told(node)
    (runner,) = children(node.checker.pid)
    assert not any(capabilities(node.checker.pid).values()), (
        "no capability in any set, the bounding set included"
    )
    held = capabilities(runner)
    assert held["CapEff"] == held["CapPrm"] == 1 << 5 | 1 << 6 | 1 << 7, "KILL, SETGID, SETUID"
    assert verdict is Verdict.UP
    assert int(received.split()[-1], 16) == held["CapBnd"] == capabilities(os.getpid())["CapBnd"], (
        "a script that runs as root has what root has"
    )


def test_a_checker_that_is_killed_leaves_no_script_and_no_runner(node: Node, folder: Path) -> None:
    node.start([misc(script(folder, f"echo $$ > {folder}/pid; sleep 100"), me())])
    node.wait(lambda: (folder / "pid").exists() and (folder / "pid").read_text(encoding="ascii") != "")
    (runner,) = children(node.checker.pid)
    running = int((folder / "pid").read_text(encoding="ascii"))
    node.kill()
    node.checker = node._processes[0]  # the hub, so that waiting goes on
    node.wait(lambda: is_gone(running)() and is_gone(runner)())


def test_a_checker_whose_runner_is_killed_ends(node: Node, folder: Path) -> None:
    node.start([misc(script(folder, "exit 0"), me())])
    assert told(node)[0] is Verdict.UP
    (runner,) = children(node.checker.pid)
    os.kill(runner, 9)
    assert node.checker.wait(10) != 0


def marked(mark: int = 7) -> Check:
    return check(CheckKind.TCP_CHECK, 9, name="misc", fwmark=mark)


@needs_root
def test_who_marks_packets_holds_just_that(node: Node) -> None:
    node.start([marked()])
    assert told(node)[:2] == (Verdict.DOWN, "connection refused")
    held = capabilities(node.checker.pid)
    assert held["CapEff"] == held["CapPrm"] in (1 << 13, 1 << 12), "NET_RAW, NET_ADMIN on older kernels"
    assert held["CapBnd"] == held["CapInh"] == held["CapAmb"] == 0


@needs_root
def test_a_reload_that_brings_the_first_mark_ends_the_process(node: Node) -> None:
    node.start([marked(0)])
    assert told(node)[1] == "connection refused"
    assert capabilities(node.checker.pid)["CapPrm"] == 0
    node.reload([marked()])
    assert node.checker.wait(10) == 0, "supervisord starts the next one"
    node.messages.clear()
    node.start()
    assert told(node)[:2] == (Verdict.DOWN, "connection refused")
    assert capabilities(node.checker.pid)["CapPrm"] != 0


@needs_root
def test_without_the_privilege_to_mark_one_sentence_says_so(node: Node) -> None:
    node.start([marked()], through=["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    node.wait(lambda: bool(node.bodies("statistics")) and bool(node.bodies("statistics")[-1].local_errors))
    ((sentence, _),) = node.bodies("statistics")[-1].local_errors.items()
    assert sentence.startswith("this process may not mark packets, as `fwmark` asks for; start the node with")
    assert {verdict.verdict for verdict in node.bodies("verdict")} <= {Verdict.UNKNOWN}


@needs_root
def test_a_process_limit_reached_is_counted_and_no_verdict_falls(node: Node, folder: Path) -> None:
    """R-F44, with the kernel's own limit: the script's user has more processes than he may."""
    often = {"delay_loop_us": 200_000, "warmup_us": 0}
    scripted = replace(misc(script(folder, "exit 0"), "nobody"), **often)
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        node.start([scripted, check(CheckKind.TCP_CHECK, target.getsockname()[1], name="tcp", **often)])
        assert told(node)[0] is Verdict.UP
        (runner,) = children(node.checker.pid)
        others = [subprocess.Popen(["sleep", "100"], user="nobody") for _ in range(2)]
        try:
            resource.prlimit(runner, resource.RLIMIT_NPROC, (1, 1))
            node.messages.clear()
            node.wait(lambda: any(body.local_errors for body in node.bodies("statistics")))
            (counted,) = node.bodies("statistics")[-1].local_errors
            assert counted == f"{folder}/check could not be started: Resource temporarily unavailable"
            target.listen()
            node.wait(lambda: (verdict := node.verdict("tcp")) is not None and verdict.verdict is Verdict.UP)
            assert {body.verdict for body in node.bodies("verdict", "misc")} <= {Verdict.UP}
            assert node.bodies("failure", "misc") == []
        finally:
            for other in others:
                other.kill()
                other.wait()
