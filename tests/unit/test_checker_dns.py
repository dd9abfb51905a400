"""DNS messages of DNS_CHECK: RFC 1035, keepalived-features 13.2, R-F79."""

from __future__ import annotations

import random
import struct

import pytest
from keepbus_checker.dns import MOST_OCTETS, TYPES, encoded, judge, query

ID = 0xBEEF
# example.org A as dig prints it, written down by hand from RFC 1035 4.1.
QUESTION = b"\x07example\x03org\0\0\x01\0\x01"
RECORD = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01"
ROOT_QUESTION = b"\0\0\x06\0\x01"


def header(flags: int = 0x8180, counts: tuple[int, ...] = (1, 1, 0, 0), identity: int = ID) -> bytes:
    return struct.pack("!6H", identity, flags, *counts)


def judged(octets: bytes) -> tuple[bool, str] | None:
    return judge(octets, len(octets), ID)


def test_a_query_as_the_rfc_lays_it_out() -> None:
    assert query("example.org", "A", ID) == bytes.fromhex("beef01000001000000000000") + QUESTION
    assert query(".", "SOA", 1) == bytes.fromhex("000101000001000000000000") + ROOT_QUESTION
    assert query("example.org.", "AAAA", ID)[-4:] == b"\0\x1c\0\x01"


def test_numbers_of_the_types() -> None:
    """From the registry of resource record types."""
    numbers = {
        "A": 1,
        "NS": 2,
        "CNAME": 5,
        "SOA": 6,
        "MX": 15,
        "TXT": 16,
        "AAAA": 28,
        "RRSIG": 46,
        "DNSKEY": 48,
    }
    assert numbers == TYPES


@pytest.mark.parametrize("name", ["", "a..b", ".a", "a" * 64, ".".join(["a" * 60] * 5), "ä.org"])
def test_names_that_dns_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match=r"label|longer|ascii"):
        encoded(name)


def test_the_longest_name() -> None:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert len(encoded(name)) == 255


def test_a_good_answer_passes() -> None:
    assert judged(header() + QUESTION + RECORD) == (True, "NOERROR, 1 answer")


def test_no_answers_are_no_failure() -> None:
    assert judged(header(counts=(1, 0, 0, 0)) + QUESTION) == (True, "NOERROR, 0 answers")
    assert judged(header(counts=(0, 0, 0, 0))) == (True, "NOERROR, 0 answers")


def test_a_truncated_answer_is_an_answer() -> None:
    assert judged(header(flags=0x8380, counts=(1, 9, 0, 0)) + QUESTION) == (True, "NOERROR, 9 answers")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "FORMERR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (4, "NOTIMP"), (5, "REFUSED"),
        (11, "response code 11"),
    ],
)  # fmt: skip
def test_a_response_code_fails(code: int, text: str) -> None:
    assert judged(header(flags=0x8180 | code) + QUESTION) == (False, text)


def test_r_f79_another_id_and_short_packets_are_ignored() -> None:
    assert judged(header(identity=ID ^ 1) + QUESTION + RECORD) is None
    assert judged(b"") is None
    assert judged(header()[:11]) is None


def test_an_echo_of_the_query_is_no_answer() -> None:
    assert judged(query("example.org", "A", ID)) == (False, "the query came back instead of an answer")


HOSTILE = {
    "a pointer to itself": QUESTION[:-4] + b"\0\x01\0\x01" + b"\xc0\x1d" + RECORD[2:],
    "two pointers in a circle": b"\x01a\xc0\x10\0\x01\0\x01" + b"\x01b\xc0\x0c" + RECORD[2:],
    "a pointer forward": QUESTION + b"\xc0\x40" + RECORD[2:] + bytes(64),
    "a pointer into the header": QUESTION + b"\xc0\x00" + RECORD[2:],
    "half a pointer": QUESTION + b"\xc0",
    "a label beyond the end": QUESTION + b"\x3fabc",
    "a label of a kind that there is not": QUESTION + b"\x40" + bytes(80),
    "data longer than the answer": QUESTION + RECORD[:10] + b"\xff\xff" + RECORD[12:],
    "data one octet short": QUESTION + RECORD[:-1],
    "no record where one is told": QUESTION,
    "half a question": QUESTION[:-3],
    "octets left over": QUESTION + RECORD + b"\0",
    "a name of 256 octets": (b"\x3f" + b"a" * 63) * 4 + b"\0\0\x01\0\x01" + RECORD,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_r_f79_malformed_answers_fail(name: str) -> None:
    judgement = judged(header() + HOSTILE[name])
    assert judgement is not None
    assert not judgement[0], name
    assert judgement[1].startswith("malformed answer: ")


def test_more_records_than_there_can_be() -> None:
    assert judged(header(counts=(65535,) * 4) + QUESTION + RECORD) == (
        False, "malformed answer: a name is broken",
    )  # fmt: skip


def test_an_answer_that_is_too_long_fails() -> None:
    octets = header() + QUESTION + RECORD
    assert judge(octets, MOST_OCTETS + 1, ID) == (False, f"answer longer than {MOST_OCTETS} octets")


def test_whatever_comes_is_judged() -> None:
    """Mutated answers and plain noise: a judgement each time, never an exception."""
    source = random.Random(79)
    good = header(counts=(1, 3, 0, 0)) + QUESTION + RECORD * 3
    verdicts = set()
    for _ in range(20_000):
        octets = bytearray(good)
        for _ in range(source.randrange(1, 5)):
            octets[source.randrange(2, len(octets))] = source.choice(
                (0, 0x3F, 0xC0, 0xFF, source.randrange(256))
            )
        del octets[source.randrange(2, len(octets) + 1) :]
        judgement = judged(bytes(octets))
        verdicts.add(judgement and judgement.passed)
    for _ in range(5_000):
        judged(struct.pack("!HH", ID, 0x8000) + source.randbytes(source.randrange(600)))
    assert verdicts == {True, False, None}


def chain(pointers: int) -> bytes:
    """An answer whose last name is reached over so many pointers, each to the one before."""
    octets = header(counts=(1, pointers, 0, 0)) + QUESTION
    target = 12
    for _ in range(pointers):
        at = len(octets)
        octets += struct.pack("!H", 0xC000 | target) + RECORD[2:]
        target = at
    return octets


def test_r_f79_pointers_are_followed_16_times_and_no_more() -> None:
    assert judged(chain(16)) == (True, "NOERROR, 16 answers")
    assert judged(chain(17)) == (False, "malformed answer: a name is broken")
