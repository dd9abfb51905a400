"""What a service does with the states of its predecessor, on real sockets with a hub process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from keepbus.bus.client import Listener, Speaker
from keepbus.contracts.checker import Statistics
from keepbus.contracts.message import Message

PATIENCE_S = 20.0
ADOPTION_S = 0.7
STATE = "state/checker/statistics"

SERVICE = f"""
import sys
from keepbus.runtime import service as runtime
from keepbus.runtime.machine import Exit, StopRequested
runtime._ADOPTION_NS = {ADOPTION_S} * 1_000_000_000
service = runtime.Service("checker", about="", argv=["-r", sys.argv[1]])
unsubscribe = service.listener.unsubscribe
service.listener.unsubscribe = lambda topic: (print(topic, flush=True), unsubscribe(topic))
class Machine:
    def turn(self, now_ns, events): return [Exit() for event in events if type(event) is StopRequested]
    def wake_at_ns(self): return None
service.run(Machine(), lambda effect, now_ns: None)
"""


def hear(listener: Listener, wanted: Callable[[Message], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any(wanted(message) for message in listener.receive()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_service_withdraws_what_it_inherited_and_then_hears_itself_no_more(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "checker").touch()
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            stack.callback(process.terminate)
            return process

        start("-m", "keepbus_hub", "-r", str(tmp_path))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.term)
        witness = Listener(context, tmp_path, ["state/checker/"])
        stack.callback(witness.close)
        earlier = Speaker(context, tmp_path, node="n", source="checker", boot="earlier")
        stack.callback(earlier.close, 0)
        earlier.publish(Statistics(probes=1))
        hear(witness, lambda message: message.topic == STATE)
        began_at = time.monotonic()
        service = start("-c", SERVICE, str(tmp_path))
        assert service.stdout is not None
        assert service.stdout.readline() == "state/checker/\n"
        assert time.monotonic() - began_at > ADOPTION_S
        hear(witness, lambda message: message.topic == STATE and message.body is None)
