"""Numbers that no honest speaker would send, and a hub that cannot bind its sockets again."""

from __future__ import annotations

import dataclasses
import itertools
import shutil

import msgpack
from test_bus_faults import Bus, beat, bus, eventually

from keepbus.bus.client import listen_address
from keepbus.bus.codec import encode_body, encode_header
from keepbus.contracts.message import ENVELOPE_VERSION, Header
from keepbus.contracts.vrrp import Demote

__all__ = ["bus"]


def test_numbers_of_a_liar_are_counted_as_far_as_a_message_can_tell_them(bus: Bus) -> None:
    listener = bus.listen("command/vrrp/demote")
    liar = bus.raw()
    body = encode_body(Demote(instance="x"))

    def heard() -> bool:
        for name in ("VI_1", "VI_2", "VI_3"):
            for nth in (1, (1 << 64) - 1):
                header = Header(ENVELOPE_VERSION, "n", "liar", "1", nth, nth, 1, 1, "")
                liar.send_multipart((f"command/vrrp/demote/{name}".encode(), encode_header(header), body))
        listener.receive()
        return len(listener.gaps) == 3

    eventually("the holes", heard)
    told = dataclasses.replace(beat(1), lost=listener.counters.lost)
    assert msgpack.unpackb(encode_body(told))["lost"] == (1 << 63) - 1


def test_holes_that_nobody_takes_are_not_kept_for_ever(bus: Bus) -> None:
    listener = bus.listen("command/vrrp/demote")
    liar = bus.raw()
    body = encode_body(Demote(instance="VI_1"))
    numbers = itertools.count(1, 2)

    def heard() -> bool:
        for nth in itertools.islice(numbers, 500):
            header = Header(ENVELOPE_VERSION, "n", "liar", "1", nth, nth, 1, 1, "")
            liar.send_multipart((b"command/vrrp/demote/VI_1", encode_header(header), body))
        listener.receive()
        return listener.counters.lost > 2000

    eventually("the holes", heard)
    assert len(listener.gaps) <= 1000


def test_a_hub_that_cannot_bind_its_sockets_again_serves_those_that_are_connected(bus: Bus) -> None:
    listener, speaker = bus.listen(""), bus.speak()
    speaker.publish(beat(1))
    bus.hear(listener, lambda message: message.body == beat(1))
    shutil.rmtree(bus.run_dir / "bus")
    (bus.run_dir / "bus").touch()
    inspected = bus.hear(listener, lambda message: message.topic == "state/hub/service")
    for number in itertools.count(2):  # several inspections, one a second
        speaker.publish(beat(number))
        wanted = beat(number)
        bus.hear(listener, lambda message, wanted=wanted: message.body == wanted)  # type: ignore[misc]
        latest = bus.hear(listener, lambda message: message.topic == "state/hub/service")
        assert latest.body.pid == inspected.body.pid, "the hub died"
        if latest.header.sent_ns - inspected.header.sent_ns > 2_500_000_000:
            break
    (bus.run_dir / "bus").unlink()
    eventually("the socket is back", lambda: listen_address(bus.run_dir).exists())
