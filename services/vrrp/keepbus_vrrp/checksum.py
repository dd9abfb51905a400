"""The Internet checksum (RFC 1071)."""

from __future__ import annotations

ALL_ONES = 0xFFFF
"""The sum of octets whose checksum is right."""


def ones_complement_sum(octets: bytes) -> int:
    """RFC 1071 sum, folded, not inverted. An odd length counts as padded with a zero octet."""
    if len(octets) % 2:
        octets += b"\0"
    # 2**16 is 1 modulo 0xffff, so the whole number modulo 0xffff is the folded sum of its 16-bit digits.
    total = int.from_bytes(octets, "big")
    return (total - 1) % 0xFFFF + 1 if total else 0


def checksum(octets: bytes) -> int:
    """RFC 1071 checksum of octets whose checksum field is zero."""
    return ALL_ONES - ones_complement_sum(octets)
