"""The bus with faults in it: lost, doubled, foreign and malformed messages, a dead hub, paths that vanish.

Reliability R-F24, R-F26 to R-F32, R-F34, R-F35, on real sockets in a directory of the test's own.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from keepbus.bus.client import Listener, Speaker, configure, listen_address, speak_address
from keepbus.bus.codec import MAX_MESSAGE_OCTETS
from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Message

PATIENCE_S = 20.0


def eventually(what: str, test: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not test():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.002)


class Bus:
    """A hub process and sockets on it."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._stack = contextlib.ExitStack()
        (run_dir / "locks").mkdir()
        (run_dir / "locks" / "checker").touch()
        self.start()

    def start(self) -> None:
        self.hub = subprocess.Popen([sys.executable, "-m", "keepbus_hub", "-r", str(self.run_dir)])
        self._stack.callback(self.hub.wait)
        self._stack.callback(self.hub.kill)

    def listen(self, *topics: str, run_dir: Path | None = None, own_boot: str | None = None) -> Listener:
        """own_boot: what this boot says of the checker is the listener's own."""
        listener = Listener(
            self.context,
            run_dir or self.run_dir,
            topics,
            own_states="state/checker/",
            own_boot=own_boot,
        )
        self._stack.callback(listener.close)
        return listener

    def speak(self, boot: str = "1", source: str = "checker") -> Speaker:
        speaker = Speaker(self.context, self.run_dir, node="n", source=source, boot=boot)
        self._stack.callback(speaker.close, 0)
        return speaker

    def raw(self, kind: int = zmq.PUSH) -> zmq.Socket[bytes]:
        """A socket without any manners; one to speak is connected."""
        made = self.context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        if kind == zmq.PUSH:
            made.connect(f"ipc://{speak_address(self.run_dir)}")
        self._stack.callback(made.close)
        return made

    def hear(self, listener: Listener, wanted: Callable[[Message], bool]) -> Message:
        found: list[Message] = []
        eventually(
            "a message",
            lambda: bool(
                found.extend(m for m in listener.receive() if m.body is not None and wanted(m)) or found
            ),
        )
        return found[0]

    def close(self) -> None:
        self._stack.close()
        self.context.term()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path)
    yield made
    made.close()


def beat(progress: int) -> Service:
    return Service(pid=1, started_ns=1, generation=1, status=Status.READY, detail="", progress=progress)


class Proxy:
    """Between the hub and a listener: `fate` says for each message how many copies go through."""

    def __init__(self, bus: Bus, run_dir: Path, fate: Callable[[bytes], int]) -> None:
        self.run_dir = run_dir
        listen_address(run_dir).parent.mkdir(parents=True)
        self._bus = bus
        self._fate = fate
        self._end = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait(PATIENCE_S)

    def _run(self) -> None:
        front = self._bus.context.socket(zmq.XPUB)
        back = self._bus.context.socket(zmq.SUB)
        for made in (front, back):
            configure(made)
        back.subscribe("")
        front.bind(f"ipc://{listen_address(self.run_dir)}")
        back.connect(f"ipc://{listen_address(self._bus.run_dir)}")
        self._ready.set()
        while not self._end.is_set():
            if back.poll(5):
                frames = back.recv_multipart()
                for _ in range(self._fate(frames[0])):
                    front.send_multipart(frames)
            with contextlib.suppress(zmq.Again):
                while True:
                    front.recv(zmq.NOBLOCK)
        front.close()
        back.close()

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def test_lost_messages_are_counted_and_healed_and_doubled_ones_are_not_heard_twice(
    bus: Bus, tmp_path: Path
) -> None:
    chance = random.Random(30)
    faulty = True
    passed = 0

    def fate(topic: bytes) -> int:
        nonlocal passed
        if topic != b"state/checker/service" or not faulty:
            return 1
        copies = chance.choice((0, 1, 1, 2))
        passed += copies > 0
        return copies

    proxy = Proxy(bus, tmp_path / "far", fate)
    try:
        near, far = bus.listen("state/checker/"), bus.listen("state/checker/", run_dir=proxy.run_dir)
        speaker = bus.speak()
        heard: list[int] = []

        def listen(until: int) -> bool:
            heard.extend(m.body.progress for m in far.receive())
            return bool(heard) and heard[-1] == until

        # Until the first message is through, the listener may simply not be there yet.
        faulty = False
        speaker.publish(beat(1))
        eventually("the first", lambda: speaker.repeat() >= 0 and listen(1))
        faulty = True
        for progress in range(2, 1001):
            speaker.publish(beat(progress))
            if progress % 100 == 0:
                bus.hear(near, lambda m, progress=progress: m.body.progress == progress)
                listen(progress)
        faulty = False
        eventually("the newest state, by its repeat", lambda: speaker.repeat() >= 0 and listen(1000))
        assert heard == sorted(set(heard)), "in order, and none twice"
        assert far.counters.lost == 1000 - len(heard) > 100
        assert sum(gap.lost for gap in far.gaps) == far.counters.lost
        assert near.counters.lost == 0
    finally:
        proxy.close()


def test_a_hub_that_is_killed_costs_nothing_but_time(bus: Bus) -> None:
    listener, speaker = bus.listen("state/checker/"), bus.speak()
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.body.progress == 1)
    bus.hub.kill()
    bus.hub.wait()
    speaker.publish(beat(2))
    bus.start()

    def repeated(listener: Listener, progress: int) -> bool:
        speaker.repeat()
        return any(m.body.progress == progress for m in listener.receive())

    eventually("the old listener hears what was said meanwhile", lambda: repeated(listener, 2))
    # The new hub knows the state again from its repeat alone, and gives it to who comes later.
    late = bus.listen("state/checker/")
    bus.hear(late, lambda m: m.body.progress == 2)
    speaker.publish(beat(3))
    bus.hear(listener, lambda m: m.body.progress == 3)


def test_a_publisher_that_starts_again_is_heard_although_its_numbers_are_lower(bus: Bus) -> None:
    listener, speaker = bus.listen("state/checker/"), bus.speak("first")
    for progress in range(1, 6):
        speaker.publish(beat(progress))
    bus.hear(listener, lambda m: m.body.progress == 5)
    bus.speak("second").publish(beat(1))
    assert bus.hear(listener, lambda m: m.header.boot == "second").header.nth == 1
    assert listener.counters.lost == 0


def test_a_service_hears_what_its_predecessor_said_but_not_itself(bus: Bus) -> None:
    listener, witness = bus.listen("state/checker/", own_boot="own"), bus.listen("state/checker/")
    own, earlier = bus.speak("own"), bus.speak("earlier")
    own.publish(beat(1))
    bus.hear(witness, lambda m: m.header.boot == "own")
    earlier.publish(beat(2))
    bus.hear(witness, lambda m: m.header.boot == "earlier")
    heard: list[str] = []

    def listen() -> bool:
        own.repeat()
        earlier.repeat()
        heard.extend(m.header.boot for m in listener.receive())
        return heard.count("earlier") > 1

    eventually("the predecessor, each time that it speaks after the service itself", listen)
    assert set(heard) == {"earlier"}
    assert listener.counters.lost == 0


@pytest.mark.parametrize("address", [speak_address, listen_address])
def test_a_socket_whose_path_was_deleted_comes_back(bus: Bus, address: Callable[[Path], Path]) -> None:
    listener, speaker = bus.listen("state/checker/"), bus.speak()
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.body.progress == 1)
    path = address(bus.run_dir)
    path.unlink()
    speaker.publish(beat(2))
    bus.hear(listener, lambda m: m.body.progress == 2)
    eventually("bound again", path.exists)
    new_listener, new_speaker = bus.listen("state/checker/"), bus.speak("new")
    new_speaker.publish(beat(3))
    bus.hear(new_listener, lambda m: m.body.progress == 3)
    bus.hear(listener, lambda m: m.body.progress == 3)


def test_a_run_directory_that_was_deleted_comes_back(bus: Bus) -> None:
    # R-F25
    listener, speaker = bus.listen("state/checker/"), bus.speak()
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.body.progress == 1)
    shutil.rmtree(bus.run_dir)
    speaker.publish(beat(2))
    bus.hear(listener, lambda m: m.body.progress == 2)
    eventually("bound again", listen_address(bus.run_dir).exists)
    late = bus.listen("state/checker/")
    bus.hear(late, lambda m: m.body.progress == 2)
    assert bus.hub.poll() is None


def test_a_listener_that_does_not_read_holds_nobody_up_and_reaches_the_newest_state(bus: Bus) -> None:
    sleeper, listener, speaker = bus.listen("state/checker/"), bus.listen("state/checker/"), bus.speak()
    speaker.publish(beat(1))
    bus.hear(sleeper, lambda m: m.body.progress == 1)
    bus.hear(listener, lambda m: m.body.progress == 1)
    count = 60_000
    for progress in range(2, count + 1):
        speaker.publish(beat(progress))
        if progress % 2000 == 0:
            bus.hear(listener, lambda m, progress=progress: m.body.progress == progress)
    assert (speaker.counters.unsent, listener.counters.lost) == (0, 0)
    newest: list[int] = []

    def wakes() -> bool:
        newest.extend(m.body.progress for m in sleeper.receive(limit=100_000))
        speaker.repeat()
        return bool(newest) and newest[-1] == count

    eventually("the newest state", wakes)
    assert len(newest) + sleeper.counters.lost == count - 1


def test_malformed_messages_are_told_with_who_sent_them_and_pass_nowhere(bus: Bus) -> None:
    listener, speaker, raw = bus.listen(""), bus.speak(), bus.raw()
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.topic == "state/checker/service")
    secret = b"a password that no log may hold"
    raw.send_multipart([b"state/checker/service", b"\x90", secret])
    told = bus.hear(listener, lambda m: m.topic == "event/hub/reject").body
    assert (told.reason, told.peer) == ("header_shape", f"{os.getuid()}:{os.getgid()}:{os.getpid()}")
    assert secret.decode() not in repr(told)
    for _ in range(500):
        raw.send_multipart([os.urandom(20), os.urandom(20), os.urandom(20)])
    speaker.publish(beat(2))
    bus.hear(listener, lambda m: m.topic == "state/checker/service" and m.body.progress == 2)
    assert listener.counters.rejected == 0
    statistics = bus.hear(
        listener, lambda m: m.topic == "state/hub/statistics" and sum(m.body.rejected.values()) > 500
    )
    assert statistics.body.rejected["header_shape"] == 1


def test_a_message_over_the_limit_costs_its_sender_the_connection_and_nobody_else_anything(bus: Bus) -> None:
    listener, speaker, raw = bus.listen("state/checker/"), bus.speak(), bus.raw()
    raw.send_multipart([b"state/checker/service", b"x", b"x" * (MAX_MESSAGE_OCTETS + 1)])
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.body.progress == 1)
    assert bus.hub.poll() is None


def test_a_topic_of_another_service_cannot_be_taken(bus: Bus) -> None:
    listener = bus.listen("")
    (bus.run_dir / "locks" / "vrrp").touch()
    os.chown(bus.run_dir / "locks" / "vrrp", 12345, -1) if os.geteuid() == 0 else None
    bus.speak(source="vrrp").publish(beat(1))
    wanted = "uid" if os.geteuid() == 0 else None
    if wanted is None:
        pytest.skip("needs root to give a lock file away: a foreign user was not tried")
    assert bus.hear(listener, lambda m: m.topic == "event/hub/reject").body.reason == wanted


def test_subscriptions_beyond_the_limit_do_not_count(bus: Bus) -> None:
    speaker = bus.speak()
    speaker.publish(beat(1))
    first, watcher = bus.listen("state/checker/"), bus.listen("state/hub/statistics")
    bus.hear(first, lambda m: m.body.progress == 1)
    bus.hear(watcher, lambda m: True)
    greedy = bus.raw(zmq.SUB)
    configure(greedy)
    for number in range(70):
        greedy.subscribe(f"event/nothing/{number}")
    greedy.subscribe("state/checker/")
    greedy.connect(f"ipc://{listen_address(bus.run_dir)}")
    bus.hear(watcher, lambda m: m.body.rejected.get("subscriptions", 0) >= 7)
    speaker.publish(beat(2))
    bus.hear(first, lambda m: m.body.progress == 2)


def test_many_connections_are_told_and_survived(bus: Bus) -> None:
    listener, speaker = bus.listen("state/"), bus.speak()
    speaker.publish(beat(1))
    bus.hear(listener, lambda m: m.topic == "state/checker/service")
    with contextlib.ExitStack() as connections:
        for _ in range(400):
            made = connections.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            made.connect(str(speak_address(bus.run_dir)))
        told = bus.hear(
            listener, lambda m: m.topic == "state/hub/service" and m.body.status is Status.DEGRADED
        )
        assert "many connections" in told.body.detail
        speaker.publish(beat(2))
        bus.hear(listener, lambda m: m.topic == "state/checker/service" and m.body.progress == 2)
    bus.hear(listener, lambda m: m.topic == "state/hub/service" and m.body.status is Status.READY)


def test_only_one_hub_runs_in_a_directory(bus: Bus) -> None:
    # R-F22, and R-B2: a second bind would take the path away from the first.
    listener = bus.listen("state/hub/service")
    bus.hear(listener, lambda m: True)
    second = subprocess.run(
        [sys.executable, "-m", "keepbus_hub", "-r", str(bus.run_dir)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert second.returncode == 75
    assert f"another keepbus-hub (pid {bus.hub.pid}) runs in {bus.run_dir}" in second.stderr
    bus.hub.send_signal(signal.SIGTERM)
    assert bus.hub.wait(PATIENCE_S) == 0
