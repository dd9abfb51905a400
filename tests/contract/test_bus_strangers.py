"""Whoever is not of the node's group stays outside of the bus (reliability R-F33)."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from test_bus_faults import Bus, beat, eventually

from keepbus.bus.client import Speaker, listen_address, speak_address

STRANGER = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else: no stranger tried")


@pytest.fixture
def bus() -> Iterator[Bus]:
    """In a directory that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        made = Bus(Path(name))
        eventually("the hub", lambda: listen_address(made.run_dir).exists())
        yield made
        made.close()


def as_a_stranger(act: Callable[[], object], groups: list[int] | None = None) -> bool:
    """Do this as another user, in another process; False when it may not."""
    pid = os.fork()
    if not pid:
        try:
            os.setgroups(groups or [])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            act()
        except PermissionError:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 1), "it failed in another way"
    return status == 0


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))


def test_r_f33_a_stranger_is_refused_by_the_modes_of_the_directories(bus: Bus) -> None:
    assert as_a_stranger(lambda: os.listdir(bus.run_dir))
    for path in (speak_address(bus.run_dir), listen_address(bus.run_dir)):
        connect(path)
        assert not as_a_stranger(lambda path=path: connect(path))  # type: ignore[misc]


def test_r_f33_what_a_stranger_says_through_modes_opened_by_mistake_is_refused(bus: Bus) -> None:
    listener = bus.listen("")
    path = speak_address(bus.run_dir)
    for each in (path, path.parent, path.parent.parent):
        each.chmod(0o777)

    def speak() -> None:
        connect(path)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        speaker = Speaker(context, bus.run_dir, node="n", source="checker", boot="1")
        speaker.publish(beat(1))
        speaker.close(linger_ms=5000)
        context.term()

    assert as_a_stranger(speak)
    told = bus.hear(listener, lambda message: message.topic == "event/hub/reject").body
    assert told.reason == "uid"
    assert told.peer.startswith(f"{STRANGER}:")


def test_r_f33_a_stranger_hears_nothing_through_modes_opened_by_mistake(bus: Bus) -> None:
    """He is as deaf to what is kept as to what is new; a member of the group hears both."""
    path = listen_address(bus.run_dir)
    for each in (path, path.parent, path.parent.parent):
        each.chmod(0o777)
    members = 54_321
    os.chown(path.parent, -1, members)
    speaker, listener = bus.speak(), bus.listen("event/hub/")
    speaker.publish(beat(1))

    def hears(groups: list[int]) -> bool:
        def hear() -> None:
            if not heard(path):
                raise PermissionError

        return as_a_stranger(hear, groups)

    speaker.repeat()
    assert hears([members])
    assert not hears([])
    told = bus.hear(listener, lambda message: message.topic == "event/hub/reject").body
    assert (told.reason, told.peer.split(":")[0]) == ("uid", str(STRANGER))


def heard(path: Path) -> bool:
    """Whether a subscription to everything brings anything within a second."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.SUB) as listener:
        listener.setsockopt(zmq.LINGER, 0)
        listener.connect(f"ipc://{path}")
        listener.setsockopt(zmq.SUBSCRIBE, b"")
        came = bool(listener.poll(1000))
    context.term()
    return came
