"""A fuzz target for the decoder of adverts: guided by coverage, where hypothesis goes by chance (F15, R-F76).

    python tests/fuzz/fuzz_vrrp_packet.py CORPUS [-runs=N] [-max_total_time=SECONDS]

An input is one octet that chooses the form, one that says what is put right, and what is behind the IP
header.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris
import corpus

sys.path.append(str(Path(__file__).resolve().parents[1] / "contract"))
with atheris.instrument_imports(include=["keepbus_vrrp"]):
    from keepbus_vrrp import packet
    from keepbus_vrrp.checksum import checksum
    from keepbus_vrrp.family import IPV4
    from keepbus_vrrp.refusal import Refused
    from test_vrrp_decoder_fuzz import FORMS, Form, second_receiver

_FORMS = tuple(FORMS.values())
_SUM, _LENGTH = 1, 2
_CHECKSUM = slice(6, 8)


def datagram_of(form: Form, right: int, behind: bytes) -> bytes:
    """right: the bits of what is put right, so that mutations get past the first checks."""
    header = bytearray(form.good()[: form.family.header_octets])
    message = bytearray(behind)
    if right & _SUM and form.family is IPV4 and len(message) >= _CHECKSUM.stop:
        message[_CHECKSUM] = bytes(2)
        message[_CHECKSUM] = checksum(bytes(message)).to_bytes(2, "big")
    if right & _LENGTH:
        if form.family is IPV4:
            header[2:4] = (len(header) + len(message)).to_bytes(2, "big")
        else:
            header[4:6] = len(message).to_bytes(2, "big")
    return bytes(header + message)


def one_input(octets: bytes) -> None:
    """Nothing but an advert or a refusal comes out; and no advert that the second receiver refuses."""
    if len(octets) < 2:
        return
    form = _FORMS[octets[0] % len(_FORMS)]
    datagram = datagram_of(form, octets[1], octets[2:1502])
    result = form.judge(datagram)
    if isinstance(result, Refused):
        assert result.reason.isidentifier(), result
        return
    assert isinstance(result, packet.Advert)
    if form.auth == "none" and form.family is IPV4:
        assert second_receiver(datagram, form.version), datagram.hex()


def seeds() -> list[bytes]:
    """A good advert of each form."""
    return [
        bytes((number, _SUM | _LENGTH)) + form.good()[form.family.header_octets :]
        for number, form in enumerate(_FORMS)
    ]


if __name__ == "__main__":
    corpus.fuzz(sys.argv, one_input, seeds())
