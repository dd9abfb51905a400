"""Pings an address every few milliseconds and prints when each answer came: `_pinger.py ADDRESS INTERVAL_S`.

Not ping(8), which waits actively below 10 ms and so takes a processor from those whom it is to measure. When
an answer came is the kernel's stamp of it, so that this process's own lateness is no silence of the address.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_SO_TIMESTAMPNS = 35


def main() -> None:
    """Until it is killed; a line is the wall clock's seconds of an answer."""
    address, interval_s = sys.argv[1], float(sys.argv[2])
    out = sys.stdout
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        next_at = time.monotonic()
        for number in range(1 << 62):
            body = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, 1, number & 0xFFFF)
            head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(body), 1, number & 0xFFFF)
            with contextlib.suppress(OSError):  # nobody has the address: that is what is measured
                sock.sendto(head, (address, 0))
            next_at += interval_s
            time.sleep(max(0.0, next_at - time.monotonic()))
            try:
                while True:
                    packet, ancillary, _flags, sender = sock.recvmsg(256, 64)
                    if sender[0] == address and packet[20] == _ECHO_REPLY:
                        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                        out.write(f"{seconds}.{nanoseconds:09}\n")
            except BlockingIOError:
                out.flush()


def _checksum(packet: bytes) -> int:
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


if __name__ == "__main__":
    main()
