"""A whole node: started, watched, reloaded, swapped, stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_harness import (
    SERVICES,
    Node,
    Witness,
    configuration,
    eventually,
    hurt,
    needs_namespaces,
    node,
    wire,
)

from keepbus.contracts.common import Status
from keepbus.runtime import deployment
from keepbus.runtime.deployment import templates

pytestmark = needs_namespaces

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "swapping.md"

SERVER = """
virtual_server 198.51.100.1 80 {
    protocol TCP
    lvs_sched rr
    lvs_method NAT
    real_server 192.0.2.1 8081 {
        TCP_CHECK {
        }
    }
}
"""


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with wire(1) as (name,):
        yield name


def test_every_service_that_is_killed_is_back_within_a_second(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        for service in SERVICES:
            if service == "watchdog":
                continue
            away_s, told = hurt(made, service, signal.SIGKILL, 8)
            print(f"{service} was away for {away_s:.2f} s")
            assert told == ["death", "return"]
            assert away_s < 3, "supervisord was not woken, or the start hangs"


def test_the_watchdog_itself_is_restarted_by_supervisord(namespace: str) -> None:
    """R-F12."""
    with node(namespace, configuration(100)) as made:
        victim = made.pid("watchdog")
        os.kill(victim, signal.SIGKILL)
        eventually("another watchdog", lambda: made.pid("watchdog") not in (victim, 0), 5)
        made.hear(
            "state/watchdog/service", lambda m: m.body.pid not in (victim, 0) and m.body.status == "ready", 5
        )


@pytest.mark.parametrize("service", ["checker", "hub"])
def test_a_stopped_service_is_replaced(namespace: str, service: str) -> None:
    with node(namespace, configuration(100)) as made:
        time.sleep(1.5)  # heard at least twice
        began = time.monotonic()
        _, told = hurt(made, service, signal.SIGSTOP, 20)
        assert told == ["replacement", "return"]
        assert time.monotonic() - began > 4, "five seconds without a heartbeat are the proof"


def test_a_stopped_watchdog_is_replaced(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        time.sleep(1.5)  # heard at least twice
        victim = made.pid("watchdog")
        os.kill(victim, signal.SIGSTOP)
        eventually("another watchdog", lambda: made.pid("watchdog") not in (victim, 0), 40)
        assert f"watchdog (pid {victim}) made no progress" in made.said()


def test_stop_is_orderly_quick_and_complete(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        began = time.monotonic()
        assert made.stop() == 0
        assert time.monotonic() - began < 5
        assert made.processes() == []
        log = (made.run_dir / "supervisor" / "log").read_text(encoding="utf-8")
        ends = re.findall(r"(?:stopped|exited): ([\w-]+)", log)
        # Which of the two was vrrp is decided by who came first to the lock.
        assert set(ends[1:3]) == {"vrrp", "vrrp-standby"}
        assert [name for name in ends if name != "vrrp-standby"] == list(reversed(SERVICES))
        assert made.said().count("-> BACKUP") == 1, "the standby took over what stops"


def test_a_service_that_does_not_stop_cannot_hold_the_node(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        os.kill(made.pid("checker"), signal.SIGSTOP)
        began = time.monotonic()
        made.stop()
        assert time.monotonic() - began < 5.5
        assert made.processes() == []


def test_a_frozen_supervisord_is_killed_at_the_end(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        os.kill(int((made.run_dir / "supervisor" / "pid").read_text()), signal.SIGSTOP)
        assert made.stop() == 1
        assert "killed what did not stop in time" in made.said()
        assert made.processes() == []


def test_a_supervisord_that_does_not_answer_is_told(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        supervisord = int((made.run_dir / "supervisor" / "pid").read_text())
        os.kill(supervisord, signal.SIGSTOP)
        told = made.hear("state/watchdog/service", lambda m: m.body.status == "degraded", 8)
        assert "supervisord does not answer" in told.body.detail
        os.kill(supervisord, signal.SIGCONT)
        made.hear("state/watchdog/service", lambda m: m.body.status == "ready", 8)


def test_the_node_ends_with_its_supervisord_and_says_so(namespace: str) -> None:
    # R-F13: never two copies, and init sees the end.
    with node(namespace, configuration(100)) as made:
        os.kill(int((made.run_dir / "supervisor" / "pid").read_text()), signal.SIGKILL)
        assert made.process is not None
        assert made.process.wait(8) == 1
        assert "supervisord ended by itself (signal 9)" in made.said()
        assert made.processes() == []


def test_killing_the_parent_stops_the_node(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        assert made.process is not None
        made.process.kill()
        made.process.wait(5)
        eventually("nothing is left", lambda: made.processes() == [], 8)


def test_a_run_directory_in_use_is_refused(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        second = subprocess.run(
            ["ip", "netns", "exec", namespace, *made.command("up", "-f", str(made.file))],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
        assert second.returncode == 2
        assert made.process is not None
        assert re.search(rf"a node runs in {made.run_dir} \(pid \d+\); stop it", second.stderr)
        assert len(made.processes()) == 11


def test_a_run_directory_with_a_long_name_is_refused(tmp_path: Path) -> None:
    made = Node("", configuration(100))
    made.run_dir = tmp_path / ("x" * 90)
    try:
        refused = subprocess.run(
            made.command("up", "-f", str(made.file)), capture_output=True, text=True, timeout=10, check=False
        )
        assert refused.returncode == 2
        assert "characters too long: a socket's path may have 107" in refused.stderr
    finally:
        made.destroy()


def test_a_file_with_errors_is_refused(tmp_path: Path) -> None:
    made = Node("", "vrrp_instance A {\n interface eth0\n")
    try:
        refused = subprocess.run(
            made.command("up", "-f", str(made.file)), capture_output=True, text=True, timeout=10, check=False
        )
        assert refused.returncode == 2
        assert "cannot be used; the node is not started" in refused.stderr
        assert not made.run_dir.exists()
    finally:
        made.destroy()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv: no start without privileges")
def test_a_start_without_privileges_says_which_and_what_to_do() -> None:
    # R-F90
    made = Node("", configuration(100))
    try:
        less = ["setpriv", "--inh-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"]
        refused = subprocess.run(
            [*less, *made.command("up", "-f", str(made.file))],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
        assert refused.returncode == 2
        assert refused.stderr.startswith("keepbus: lacks CAP_NET_ADMIN; start it as root, or in a namespace")
    finally:
        made.destroy()


def test_the_loss_of_the_run_directory_moves_no_address(namespace: str) -> None:
    # R-F25: vrrp goes on, the bus comes back, the stop still removes the address.
    with node(namespace, configuration(100)) as made, Witness(namespace) as witness:
        eventually("the address is here", lambda: bool(witness.holders()), 10)
        gone_at = time.monotonic()
        shutil.rmtree(made.run_dir)
        time.sleep(3)
        made.hear("state/vrrp/instance/", lambda m: m.body.state == "MASTER", 5)
        assert witness.longest(0, gone_at) == 0
        made.stop()
        eventually("nothing is left", lambda: made.processes() == [] and not witness.holders(), 3)


def test_reload_is_confirmed_by_every_service_and_an_error_changes_nothing(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        assert made.process is not None
        made.file.write_text(configuration(101), encoding="utf-8")
        done = subprocess.run(made.command("reload"), capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stdout) == (
            0, f"keepbus: every service runs generation 2 of {made.file}\n",
        )  # fmt: skip
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 101, 5)

        made.file.write_text("vrrp_instance A {\n", encoding="utf-8")
        refused = subprocess.run(
            made.command("reload"), capture_output=True, text=True, timeout=20, check=False
        )
        assert refused.returncode == 2
        assert "the node runs on with generation 2" in refused.stderr

        made.file.write_text(configuration(102), encoding="utf-8")
        made.process.send_signal(signal.SIGHUP)
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 102, 10)
        eventually("the reload is told", lambda: "every service runs generation 3" in made.said(), 10)


def test_reload_names_who_does_not_confirm(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        os.kill(made.pid("audit"), signal.SIGSTOP)
        done = subprocess.run(made.command("reload"), capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode in (0, 1)
        if done.returncode:  # 0: the watchdog replaced it within these seconds
            assert "is not confirmed by audit within 5 s" in done.stderr


def test_a_service_is_swapped_by_one_file(namespace: str, tmp_path: Path) -> None:
    # The program of docs/swapping.md, as it stands there, in the place of checker.
    program = tmp_path / "allup.py"
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    program.write_text(blocks[0], encoding="utf-8")
    ours = (templates() / "programs" / "checker.conf").read_text(encoding="utf-8")
    theirs = ours.replace("${python} -P -m keepbus_checker", f"${{confined}} ${{python}} -P {program}")
    (tmp_path / "checker.conf").write_text(theirs, encoding="utf-8")
    servers = """
virtual_server 192.0.2.200 80 {
    delay_loop 3
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 192.0.2.77 80 {
        TCP_CHECK {
            connect_timeout 1
        }
    }
}
"""
    options = ("--programs", str(tmp_path), "--ipvs-driver", "dry-run")
    with node(namespace, configuration(100) + servers, *options) as made:
        service = made.hear("state/checker/service", lambda m: m.body.status == "ready", 5)
        assert service.body.detail == "every check is up by decree"
        topic = "state/ipvs/virtual_server/"
        server = made.hear(topic, lambda m: m.body.real_servers[0].verdict == "up", 10)
        assert server.body.weight_up == 1


CRASHES = """
from keepbus.runtime.service import Service

Service("checker", about="dies at once")
raise SystemExit(3)
"""


@pytest.mark.parametrize("command", ["${python} ${run_dir}/../dies.py -r ${run_dir}", "false"])
def test_a_crash_loop_costs_little_and_is_never_given_up(
    namespace: str, tmp_path: Path, command: str
) -> None:
    # R-F21. A program of ours waits by itself; any other is left to supervisord's pace of one a second.
    ours = (templates() / "programs" / "checker.conf").read_text(encoding="utf-8")
    switch = (
        f"command=${{confined}} /bin/sh -c '[ -e ${{run_dir}}/broken ] && exec {command}; exec \"$@\"' sh "
    )
    (tmp_path / "checker.conf").write_text(ours.replace("command=", switch), encoding="utf-8")
    with node(namespace, configuration(100), "--programs", str(tmp_path)) as made:
        (made.directory / "dies.py").write_text(CRASHES, encoding="utf-8")
        (made.run_dir / "broken").touch()
        os.kill(made.pid("checker"), signal.SIGKILL)
        time.sleep(6)
        log = (made.run_dir / "supervisor" / "log").read_text(encoding="utf-8")
        starts = log.count("spawned: 'checker'")
        assert 4 < starts < 40
        (made.run_dir / "broken").unlink()
        made.hear("state/checker/service", lambda m: m.body.pid == made.pid("checker"), 20)
        assert made.stop() == 0


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv: privileges were not looked at")
def test_every_service_holds_what_its_card_lists_and_no_more(namespace: str) -> None:
    # Reliability R-P1, R-P2; bits of linux/capability.h.
    setuid, setgid, kill, net_admin, net_raw = 1 << 7, 1 << 6, 1 << 5, 1 << 12, 1 << 13
    sys_nice = 1 << 23
    wanted = dict.fromkeys(SERVICES, 0) | {
        "vrrp": net_admin | net_raw, "ipvs": net_admin, "notify": setuid | setgid | kill,
    }  # fmt: skip
    with node(namespace, configuration(100) + SERVER, "--ipvs-driver", "dry-run") as made:
        made.hear("state/ipvs/virtual_server/", lambda _m: True, 10)
        for service, capabilities in wanted.items():
            status = Path(f"/proc/{made.pid(service)}/status").read_text(encoding="ascii")
            held = {
                key: int(value, 16) for key, value in re.findall(r"^Cap(\w+):\s(\w+)$", status, re.MULTILINE)
            }
            assert held["Eff"] == held["Prm"] == capabilities, service
            if service != "notify":  # its scripts may need sudo, docs/decisions/0504
                only_to_start = sys_nice if service == "vrrp" else 0
                assert held["Bnd"] == capabilities | only_to_start, service
                assert "NoNewPrivs:\t1" in status
        for path in made.run_dir.rglob("*"):  # 0401: a group may listen, and change nothing
            mode = path.lstat().st_mode
            if not stat.S_ISSOCK(mode) and not stat.S_ISLNK(mode):
                assert not mode & 0o022, path


@pytest.mark.skipif(not deployment.can_be_urgent(), reason="no real-time class here: nothing was tried")
def test_a_vrrp_that_is_ready_goes_before_one_that_starts(namespace: str) -> None:
    with node(namespace, configuration(100)) as made:
        made.hear("state/vrrp-standby/service", lambda m: m.body.status == Status.READY, 20)
        urgent = {name: made.pid(name) for name in ("vrrp", "vrrp-standby", "watchdog")}
        assert {os.sched_getscheduler(pid) for pid in urgent.values()} == {os.SCHED_RR}
        priorities = {name: os.sched_getparam(pid).sched_priority for name, pid in urgent.items()}
        assert priorities == {"vrrp": 2, "vrrp-standby": 2, "watchdog": 1}


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare: no node ran without root")
def test_a_node_runs_in_a_user_namespace() -> None:
    prefix = ("unshare", "-Urnm")
    probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("user namespaces are not allowed here: no node ran in one")
    with node("", configuration(100), prefix=prefix) as made:
        made.hear("state/hub/service", lambda m: m.body.status == "ready", 5)
        assert made.stop() == 0
        assert made.processes() == []


def test_output_goes_wherever_standard_output_goes(namespace: str, tmp_path: Path) -> None:
    # A pipe that nobody reads must not stop supervision; what it could not take is counted.
    with node(namespace, configuration(100)) as made:
        assert made.stop() == 0
        reader, writer = os.pipe()
        try:
            made.process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *made.command("up", "-f", str(made.file))],
                stdout=writer, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            os.set_blocking(writer, False)
            eventually("all are there", lambda: len(made.processes()) == 11, 15)
            while True:
                try:
                    os.write(writer, b"x" * 4096)
                except BlockingIOError:
                    break
            made.hear("state/watchdog/service", lambda m: m.body.status == "ready", 10)
            time.sleep(1.2)
            hurt(made, "checker", signal.SIGKILL, 5)
            assert made.stop() == 0
        finally:
            os.close(reader)
            os.close(writer)
