"""The reader of HTTP answers: any octets, in any pieces, give the same result and no exception."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from keepbus_checker.answer import MOST_BODY_OCTETS, MOST_HEAD_OCTETS, Answer, request
from keepbus_checker.search import MOST_OCTETS, Search

from keepbus.config.model.checker import Regex, StatusRange, Url

ANY = (StatusRange(low=100, high=599),)


def read(octets: bytes, url: Url, cuts: list[int] | None = None) -> tuple[str, tuple[bool, str]]:
    """Feed the octets, cut at these places; what the last feed said, and the end."""
    answer = Answer(url)
    places = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts or [])})
    refusal = ""
    for start, end in pairwise(places):
        refusal = refusal or answer.feed(memoryview(octets)[start:end])
    return refusal, answer.end()


heads = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 404 Not Found",
        b"HTTP/1.1 20",
        b"HTTP/1.1  200",
        b" 200",
        b"HTTP/9 999",
        b"\xff\x00",
    ]
)
fields = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: -5",
        b"Content-Length: 99999999999999999999",
        b"content-length: 5",
        b"X",
        b":",
    ]
)
answers = st.builds(
    lambda head, lines, gap, body: b"\r\n".join([head, *lines]) + gap + body,
    heads,
    st.lists(fields, max_size=3),
    st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b"\r\r\n\n"]),
    st.binary(max_size=60),
)


@given(st.one_of(st.binary(max_size=200), answers), st.lists(st.integers(0, 1000), max_size=8))
def test_pieces_do_not_matter(octets: bytes, cuts: list[int]) -> None:
    url = Url(path="/", status_codes=ANY, digest="0" * 32)
    assert read(octets, url, cuts) == read(octets, url)


@given(answers)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\nContent-Length: 5\r\n\r\nsix...")
def test_the_digest_is_of_what_content_length_covers(octets: bytes) -> None:
    head, gap, body = octets.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")]
    value = lengths[0].split(b":")[1].strip() if lengths else b""
    covered = body[: int(value)] if value.isdigit() else body
    digest = hashlib.md5(covered, usedforsecurity=False).hexdigest()
    _, (passed, received) = read(octets, Url(path="/", status_codes=ANY, digest=digest))
    is_answer = bool(gap) and head[:13] in (b"HTTP/1.1 200 ", b"HTTP/1.0 404 ")
    assert passed == is_answer or head.startswith((b" 200", b"HTTP/9"))
    if passed:
        assert received.endswith(f"{len(body)} octets, MD5 {digest}")


@pytest.mark.parametrize("cuts", [[], [40, 41], [42, 44], [45]])
def test_the_digest_ends_with_content_length_in_whatever_pieces(cuts: list[int]) -> None:
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"
    url = Url(path="/", status_codes=ANY, digest="5d41402abc4b2a76b9719d911017c592")
    assert read(octets, url, cuts) == ("", (True, f"200, 14 octets, MD5 {url.digest}"))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 404", 404),
        (b"ICY 200 OK", 200),
        (b"HTTP/1.1 2000", 0),
        (b"HTTP/1.1 20", 0),
        (b"HTTP/1.1  200", 0),
        (b"HTTP/1.1\t200", 0),
        (b" 200 OK", 0),
        (b"200 OK", 0),
        (b"HTTP/1.1 -20", 0),
        (b"HTTP/1.1 \xb2\xb2\xb2", 0),
        (b"", 0),
    ],
)
def test_the_status_code_is_three_digits_after_the_first_blank(line: bytes, code: int) -> None:
    _, (passed, received) = read(line + b"\r\n\r\n", Url(path="/", status_codes=ANY))
    assert (passed, received) == (
        (True, f"{code}, 0 octets") if code else (False, "no status code in the answer")
    )


def test_a_head_has_a_limit_and_no_more_is_kept() -> None:
    answer = Answer(Url(path="/", status_codes=ANY))
    refusal = ""
    for _ in range(MOST_HEAD_OCTETS // 1000 + 2):
        refusal = refusal or answer.feed(b"y" * 1000)
    assert refusal == f"head longer than {MOST_HEAD_OCTETS} octets"
    just = b"HTTP/1.1 200 OK\r\nX: ".ljust(MOST_HEAD_OCTETS - 4, b"y") + b"\r\n\r\n"
    assert read(just, Url(path="/", status_codes=ANY)) == ("", (True, "200, 0 octets"))


def test_a_body_has_a_limit() -> None:
    answer = Answer(Url(path="/", status_codes=ANY))
    answer.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    piece = memoryview(bytes(1 << 20))
    refusals = [answer.feed(piece) for _ in range(MOST_BODY_OCTETS // len(piece) + 1)]
    assert refusals[-2:] == ["", f"body longer than {MOST_BODY_OCTETS} octets"]


def test_a_request_is_octets_whatever_the_configuration_holds() -> None:
    assert (
        request("/ü\udcff", "h", "1.0")
        == "GET /ü? HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: h\r\n\r\n".encode()
    )


def body(octets: bytes, **regex: object) -> tuple[bool, str]:
    """The verdict on a page with this body."""
    url = Url(path="/", status_codes=ANY, regex=Regex(**regex))  # type: ignore[arg-type]
    return read(b"HTTP/1.0 200 OK\r\n\r\n" + octets, url, [30, 40])[1]


@pytest.mark.parametrize(
    ("octets", "regex", "passed", "words"),
    [
        (b"all is well", {"pattern": "is w"}, True, "200, 11 octets, regex matches at 4"),
        (b"all is bad", {"pattern": "is w"}, False, "200, 10 octets, regex does not match"),
        (b"ALL IS WELL", {"pattern": "well", "options": ("caseless",)}, True, "matches at 7"),
        (b"all is well", {"pattern": "is w", "no_match": True}, False, "matches at 4"),
        (b"all is bad", {"pattern": "is w", "no_match": True}, True, "does not match"),
        # A match must start within the offsets (features 13.3).
        (b"aXbX", {"pattern": "X", "min_offset": 2}, True, "matches at 3"),
        (b"abX", {"pattern": "X", "max_offset": 1}, False, "matches at 2 first"),
        (b"ab", {"pattern": "X", "min_offset": 9}, False, "does not match"),
        # What Python's own engine has not: possessive and recursive patterns are PCRE2's.
        (b"((()))", {"pattern": r"^(\((?1)*\))$"}, True, "matches at 0"),
    ],
)
def test_body_is_searched(octets: bytes, regex: dict[str, object], passed: bool, words: str) -> None:
    verdict, received = body(octets, **regex)
    assert verdict is passed
    assert words in received


@pytest.mark.parametrize("no_match", [False, True])
def test_a_match_that_takes_too_many_steps_is_a_failure(no_match: bool) -> None:
    """R-F78: a pattern whose time grows with 2^n for a hostile page."""
    passed, received = body(b"a" * 5000 + b"b", pattern="(a+)+$", no_match=no_match)
    assert not passed
    assert "regex given up after" in received


def test_no_more_than_half_a_mebioctet_is_searched() -> None:
    passed, _ = body(b"x" * MOST_OCTETS + b"needle", pattern="needle")
    assert not passed
    search = Search(Regex(pattern="needle"))
    for _ in range(100):
        search.feed(b"x" * 100_000)
    assert len(search._body) == MOST_OCTETS


def test_content_length_bounds_what_is_searched() -> None:
    url = Url(path="/", status_codes=ANY, regex=Regex(pattern="needle"))
    octets = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n"
    assert not read(octets + b"1234needle", url)[1][0]
    assert read(octets.replace(b"4", b"10") + b"1234needle", url)[1][0]
