"""What a UDP_CHECK sends and whether a reply is as wanted. No socket, no waiting."""

from __future__ import annotations

from keepbus.config.model.checker import UdpExchange

PAYLOAD = b"keepbus UDP_CHECK, please ignore"
"""Sent when the configuration gives no payload."""


def payload(exchange: UdpExchange) -> bytes:
    """The datagram's octets."""
    return bytes.fromhex(exchange.payload) or PAYLOAD


class Reply:
    """The pattern of one check, worked out once."""

    __slots__ = ("_exchange", "_mask", "_value")

    def __init__(self, exchange: UdpExchange) -> None:
        self._exchange = exchange
        pattern = exchange.reply_pattern
        self._value = bytes.fromhex(pattern.replace("x", "0"))
        self._mask = bytes.fromhex("".join("0" if digit == "x" else "f" for digit in pattern))

    def judge(self, octets: memoryview, length: int) -> tuple[bool, str]:
        """Whether a reply of this length that begins with octets is as wanted, and what it was."""
        received = f"{length} octets"
        exchange = self._exchange
        if not exchange.require_reply:
            return True, received
        if not exchange.min_reply_length <= length <= exchange.max_reply_length:
            return False, (
                f"{received}, but {exchange.min_reply_length} to {exchange.max_reply_length} are wanted"
            )
        # As in keepalived a reply that is shorter than the pattern is compared as far as it goes.
        for index, (octet, wanted, mask) in enumerate(zip(octets, self._value, self._mask, strict=False)):
            if octet & mask != wanted:
                return False, f"{received}, but octet {index + 1} is {octet:02x}"
        return True, received
