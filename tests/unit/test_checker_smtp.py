"""The dialogue of SMTP_CHECK (keepalived-features 13.2)."""

from __future__ import annotations

import random

import pytest
from keepbus_checker.smtp import LONGEST_REPLY, Dialogue, Move

GOOD = (b"220 mail.example.org ESMTP\r\n", b"250 hello\r\n", b"221 bye\r\n")
HELO, QUIT = b"HELO check.example.org\r\n", b"QUIT\r\n"


def dialogue() -> Dialogue:
    return Dialogue("check.example.org")


def test_greeting_helo_quit() -> None:
    one = dialogue()
    assert [one.feed(reply) for reply in GOOD] == [
        Move(HELO), Move(QUIT), Move(b"", True, "221 bye"),
    ]  # fmt: skip


def test_replies_across_segments() -> None:
    one = dialogue()
    said = b""
    moves = [one.feed(bytes((octet,))) for octet in b"".join(GOOD)]
    said = b"".join(move.say for move in moves)
    assert said == HELO + QUIT
    assert moves[-1] == Move(b"", True, "221 bye")
    assert all(move.passed is None for move in moves[:-1])


def test_replies_of_several_steps_in_one_segment() -> None:
    assert dialogue().feed(b"".join(GOOD)).passed is True


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("greeting", [b"220", b"220 ", b"220 x"])
def test_three_digits_and_a_blank_or_nothing(greeting: bytes, ending: bytes) -> None:
    assert dialogue().feed(greeting + ending) == Move(HELO)


@pytest.mark.parametrize(
    "greeting",
    [
        b"", b"22", b"2200 x", b"220-more", b"220\tx", b"x220", b"554 no", b"221 x", b" 220 x", b"250 x",
        b"HTTP/1.1 200 OK",
    ],
)  # fmt: skip
def test_other_greetings_fail(greeting: bytes) -> None:
    move = dialogue().feed(greeting + b"\r\n")
    assert move.passed is False
    assert move.received == f"greeting: {greeting.decode()}".replace("\t", "�")


def test_helo_must_be_250_and_quit_may_be_anything() -> None:
    one = dialogue()
    one.feed(GOOD[0])
    assert one.feed(b"502 what\r\n") == Move(b"", False, "HELO: 502 what")
    other = dialogue()
    other.feed(GOOD[0])
    other.feed(GOOD[1])
    assert other.feed(b"421 closing\r\n") == Move(b"", True, "421 closing")
    third = dialogue()
    third.feed(GOOD[0])
    third.feed(GOOD[1])
    assert third.feed(b"bye\r\n") == Move(b"", False, "QUIT: bye")


def test_a_reply_without_end_fails_and_is_not_kept() -> None:
    one = dialogue()
    assert one.feed(b"2" * LONGEST_REPLY) == Move()
    assert one.feed(b"2") == Move(b"", False, "greeting: reply longer than 512 octets")
    assert dialogue().feed(b"220 " + b"x" * 16384 + b"\r\n").passed is False


def test_the_end_of_the_connection_names_the_step() -> None:
    one = dialogue()
    assert one.closed() == "connection closed before the greeting"
    one.feed(GOOD[0])
    assert one.closed() == "connection closed before the reply to HELO"
    one.feed(GOOD[1])
    assert one.closed() == "connection closed before the reply to QUIT"


def test_what_a_stranger_says_is_printable_and_short() -> None:
    move = dialogue().feed(b"5\x1b[2J\xff\0" + b"a" * 400 + b"\r\n")
    assert move.received.isprintable()
    assert len(move.received) < 120


def test_whatever_comes_is_judged() -> None:
    source = random.Random(13)
    alphabet = b"0123456789 -\r\n\x00\xffx"
    ends = set()
    for _ in range(20_000):
        one = dialogue()
        octets = source.choice((b"", GOOD[0], GOOD[0] + GOOD[1])) + bytes(source.choices(alphabet, k=30))
        move = Move()
        for at in range(0, len(octets), 7):
            move = one.feed(octets[at : at + 7])
            if move.passed is not None:
                break
        ends.add(move.passed)
    assert ends == {True, False, None}
