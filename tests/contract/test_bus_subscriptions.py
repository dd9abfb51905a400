"""A subscription that the hub reads counts, whatever else happens on the bus at that moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from keepbus.bus.client import Listener, Speaker, listen_address
from keepbus.contracts.common import Service, Status

PATIENCE_S = 20.0


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    """A run directory with a hub."""
    (tmp_path / "locks").mkdir()
    hub = subprocess.Popen([sys.executable, "-m", "keepbus_hub", "-r", str(tmp_path)])
    deadline = time.monotonic() + PATIENCE_S
    while not listen_address(tmp_path).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield tmp_path
    hub.terminate()
    hub.wait(PATIENCE_S)


def heard(listener: Listener, topic: str) -> bool:
    """Whether the topic comes in time."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if any(message.topic == topic for message in listener.receive()):
            return True
        time.sleep(0.001)
    return False


def test_listeners_that_leave_do_not_cost_others_their_subscription(run_dir: Path) -> None:
    """libzmq forgets whose subscription was read last when another listener goes away."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    (run_dir / "locks" / "checker").touch()
    speaker = Speaker(context, run_dir, node="n", source="checker", boot="1")
    speaker.publish(
        Service(pid=os.getpid(), started_ns=1, generation=1, status=Status.READY, detail="", progress=1)
    )
    leaving = [Listener(context, run_dir, ["state/"]) for _ in range(20)]
    assert all(heard(listener, "state/checker/service") for listener in leaving)
    for _ in range(20):
        staying = [Listener(context, run_dir, ["state/checker/"]) for _ in range(20)]
        for listener in leaving:
            speaker.repeat()
            listener.close()
        assert all(heard(listener, "state/checker/service") for listener in staying)
        leaving = staying
    for listener in leaving:
        listener.close()
    speaker.close()
    context.term()
