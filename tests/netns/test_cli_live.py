"""`keepbus tap`, `status` and `explain` against a real hub and audit. Needs neither root nor a namespace."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from cli_stage import PATIENCE_S, Stage

from keepbus.bus.client import speak_address
from keepbus.bus.codec import encode_body, encode_header
from keepbus.contracts import vrrp
from keepbus.contracts.common import Status
from keepbus.contracts.message import Header


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "run")
    yield stage
    stage.close()


def test_status_of_a_node_that_is_well_is_0(stage: Stage) -> None:
    stage.start("audit")
    stage.until(lambda: stage.journaled("state/hub/service"))
    stage.beat()
    stage.goes(vrrp.VrrpState.BACKUP, vrrp.VrrpState.MASTER)
    stage.until(lambda: len(stage.journaled("state/vrrp/instance")) == 2)
    shown = stage.keepbus("status")
    assert "VI_1  MASTER for" in shown.stdout
    assert "all is well" in shown.stdout, shown.stdout
    assert shown.returncode == 0
    data = json.loads(stage.keepbus("status", "--json").stdout)
    assert data["well"] is True
    assert data["instances"]["VI_1"]["transitions"] == 2


def test_status_sees_who_is_missing_degraded_and_silent(stage: Stage) -> None:
    stage.beat("vrrp", "notify", "ipvs")
    stage.beat("checker", status=Status.DEGRADED)
    stage.until(lambda: "checker is degraded" in stage.keepbus("status").stdout)
    # Nobody beats for the played services, so they fall silent.
    stage.until(lambda: "vrrp (pid " in stage.keepbus("status").stdout)
    shown = stage.keepbus("status")
    assert shown.returncode == 1
    assert "audit was never heard: it is not running" in shown.stdout
    assert "SILENT" in shown.stdout
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("verb", [("status",), ("tap",), ("explain", "VI_1")])
def test_a_dead_hub_is_one_sentence_that_says_what_to_do(stage: Stage, verb: tuple[str, ...]) -> None:
    stage.hub.kill()
    stage.hub.wait()
    shown = stage.keepbus(*verb)
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "does not answer" in shown.stderr
    assert "keepbus up" in shown.stderr


def test_a_stopped_hub_is_told_too(stage: Stage) -> None:
    stage.hub.send_signal(signal.SIGSTOP)
    shown = stage.keepbus("status")
    assert shown.returncode == 1
    assert "says nothing" in shown.stderr
    stage.hub.send_signal(signal.SIGCONT)


def test_a_directory_without_a_node(tmp_path: Path) -> None:
    for folder, words in ((tmp_path, "no node runs in"), (tmp_path / "none", "there is no directory")):
        shown = subprocess.run(
            (sys.executable, "-m", "keepbus.cli", "status", "-r", str(folder)),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert shown.returncode == 1
        assert words in shown.stderr


def test_tap_follows_and_filters(stage: Stage, tmp_path: Path) -> None:
    output = tmp_path / "tapped"
    with output.open("wb") as file:
        tap = stage.tap("event/vrrp/transition", "--json", stdout=file)

    def tapped() -> list[Any]:
        return [json.loads(line) for line in output.read_text().splitlines()]

    def seen() -> bool:
        stage.goes(vrrp.VrrpState.BACKUP)
        return len(tapped()) >= 3

    stage.until(seen)
    tap.terminate()
    assert tap.wait(PATIENCE_S) == 0
    assert {line["topic"] for line in tapped()} == {"event/vrrp/transition/VI_1"}
    assert tapped()[0]["body"]["transition"]["cause"] == "cause 1"


def test_tap_shows_a_gap(stage: Stage, tmp_path: Path) -> None:
    output = tmp_path / "tapped"
    with output.open("wb") as file:
        tap = stage.tap("event/vrrp/resume", stdout=file)
    push = stage.context.socket(zmq.PUSH)
    push.connect(f"ipc://{speak_address(stage.run_dir)}")
    body = encode_body(vrrp.Resumed(instance="VI_1", life="l", state=vrrp.VrrpState.MASTER, silent_us=1))
    nth = 0

    def seen() -> bool:
        nonlocal nth
        nth += 3  # two of three never come
        header = Header(1, "d1", "vrrp", "b9", nth, nth, time.time_ns(), time.time_ns(), "")
        push.send_multipart((b"event/vrrp/resume/VI_1", encode_header(header), body))
        return "2 messages lost on event/vrrp/resume/VI_1 from vrrp" in output.read_text()

    try:
        stage.until(seen)
    finally:
        push.close(0)
    tap.terminate()
    assert tap.wait(PATIENCE_S) == 0


def test_tap_into_a_closed_pipe_ends_quietly(stage: Stage) -> None:
    stage.goes(vrrp.VrrpState.BACKUP)
    tap = stage.tap()
    assert tap.stdout is not None
    stage.until(lambda: tap.stdout is not None and tap.stdout.readline())
    tap.stdout.close()

    def ended() -> bool:
        stage.goes(vrrp.VrrpState.BACKUP)
        return tap.poll() is not None

    stage.until(ended)
    assert tap.returncode == 0
    assert "Error" not in (stage.run_dir / "log.txt").read_text()


def test_colour_on_a_terminal_and_lines_that_fit(stage: Stage) -> None:
    stage.beat()
    stage.goes(vrrp.VrrpState.BACKUP)
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        (sys.executable, "-m", "keepbus.cli", "status", "-r", str(stage.run_dir)),
        stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm", "COLUMNS": "40"},
    )  # fmt: skip
    os.close(theirs)
    output = b""
    try:
        while data := os.read(ours, 65536):
            output += data
    except OSError:
        pass  # Linux's word for the end of a terminal
    os.close(ours)
    process.wait()
    text = output.decode()
    assert "\x1b[31;1m" in text
    assert all(len(line) <= 40 for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines())


def test_audit_writes_what_is_said_and_explain_tells_it(stage: Stage) -> None:
    audit = stage.start("audit", "--journal-size", "2000")
    stage.until(lambda: stage.journaled("state/hub/service"))
    stage.goes(vrrp.VrrpState.BACKUP, vrrp.VrrpState.MASTER)
    stage.until(lambda: "cause 2" in stage.keepbus("explain", "VI_1").stdout)
    shown = stage.keepbus("explain", "VI_1").stdout
    assert (stage.run_dir / "audit" / "journal.jsonl.1").exists()  # it is read, too
    assert "INIT → BACKUP  transition 1" in shown
    assert "BACKUP → MASTER  transition 2" in shown
    assert shown.count("10.0.0.9/24 added on eth0") == 2
    # The node goes; the story stays.
    for process in (audit, stage.hub):
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    again = stage.keepbus("explain", "VI_1")
    assert again.returncode == 0
    assert "the node does not run" in again.stdout
    assert "BACKUP → MASTER  transition 2" in again.stdout
    assert len(json.loads(stage.keepbus("explain", "VI_1", "--json").stdout)["transitions"]) == 2
    wrong = stage.keepbus("explain", "VI_l")
    assert wrong.returncode == 1
    assert "did you mean VI_1?" in wrong.stderr


def test_audit_survives_kill_9_in_the_middle(stage: Stage) -> None:
    audit = stage.start("audit")
    stage.until(lambda: stage.journaled("state/hub/service"))
    stage.goes(vrrp.VrrpState.BACKUP)
    stage.until(lambda: stage.journaled("state/vrrp/instance"))
    audit.kill()
    audit.wait()
    path = stage.run_dir / "audit" / "journal.jsonl"
    with path.open("a") as file:
        file.write('{"time":"torn')
    stage.start("audit")
    stage.until(lambda: path.read_text().count('"opened":true') == 2)
    torn = [line for line in path.read_text().splitlines() if line.startswith('{"time":"torn')]
    assert torn == ['{"time":"torn']
    # The state that stands is written again under its id, and told once.
    stage.until(lambda: path.read_text().count('"state/vrrp/instance/VI_1"') == 2)
    assert stage.keepbus("explain", "VI_1").stdout.count("transition 1") == 1
