"""Certificates: read whatever comes, told once and once a day, gone on with after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from checker_play import WALL_NS, Play, S, tcp
from hypothesis import given
from hypothesis import strategies as st
from keepbus_checker.events import CertificateSeen
from keepbus_checker.x509 import read

from keepbus.contracts.checker import Certificate, CertificateExpiring

DAY = 86_400
DER = bytes.fromhex((Path(__file__).parent / "data" / "certificate.hex").read_text(encoding="ascii"))
"""Made by OpenSSL 3.0 (`req -x509 -subj "/C=DE/O=Exämple/CN=www.example"`), which says its end as below."""
ENDS_NS = 2110737291 * S


def test_as_openssl_reads_it() -> None:
    assert read(DER) == ("CN=www.example, O=Exämple, C=DE", "CN=www.example, O=Exämple, C=DE", ENDS_NS)


@given(st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(octets: bytes) -> None:
    try:
        read(octets)
    except ValueError:
        return


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_r_f78_a_certificate_with_a_wrong_octet_is_read_or_refused(at: int, octet: int) -> None:
    try:
        known = read(DER[:at] + bytes((octet,)) + DER[at + 1 :])
    except ValueError:
        return
    assert len(known.subject) <= 201
    assert known.subject.isprintable()


@pytest.mark.parametrize("length", range(0, len(DER), 7))
def test_a_part_of_one_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"ends too early|longer than what"):
        read(DER[:length])


def seen(play: Play) -> Play:
    return play.feed(CertificateSeen("one", DER, play.wall_ns))


def told(play: Play, kind: type) -> list[tuple[float, int]]:
    return [(at, body.days_left) for at, body in play.published if isinstance(body, kind)]


def days_before_end(days: float) -> int:
    """Seconds from the playbook's start to so long before the certificate's end."""
    return (ENDS_NS - WALL_NS) // S - round(days * DAY)


def test_it_is_told_once_a_day_and_warned_of_within_14_days() -> None:
    play = Play()
    play.now_ns += days_before_end(15.5) * S
    start = play.seconds
    seen(seen(play.configure(tcp())))
    for _ in range(round(3.2 * 24 * 2)):
        play.now_ns += 1800 * S
        play.feed()
    assert [left for _, left in told(play, Certificate)] == [15, 14, 13, 12]
    for (at, _), due in zip(told(play, Certificate), (0, DAY / 2, 1.5 * DAY, 2.5 * DAY), strict=True):
        assert 0 <= at - start - due <= 3700
    assert [left for _, left in told(play, CertificateExpiring)] == [13, 12]


def test_one_that_has_ended_says_so() -> None:
    play = Play()
    play.now_ns += days_before_end(-0.5) * S
    seen(play.configure(tcp()))
    assert [left for _, left in told(play, CertificateExpiring)] == [-1]


def test_a_new_process_goes_on_with_what_was_told_and_warns_of_nothing_anew() -> None:
    play = Play()
    play.now_ns += days_before_end(5.5) * S
    earlier = seen(beside(play)).bodies(Certificate)[0]
    play.configure(tcp()).hear(earlier)
    seen(play)
    assert len(told(play, Certificate)) == 1
    assert told(play, CertificateExpiring) == []
    assert Play().configure(tcp("other")).hear(earlier).bodies(Certificate) == []


def beside(play: Play) -> Play:
    """Another process at the same moment."""
    other = Play()
    other.now_ns = play.now_ns
    return other.configure(tcp())


def test_what_is_no_certificate_is_logged_and_changes_nothing() -> None:
    play = Play().configure(tcp())
    play.feed(CertificateSeen("one", b"0", play.wall_ns), CertificateSeen("gone", DER, play.wall_ns))
    assert told(play, Certificate) == []
    assert any("cannot be read" in getattr(effect, "text", "") for effect in play.others)


def test_a_check_that_is_gone_takes_its_certificate_along() -> None:
    play = seen(Play().configure(tcp()))
    play.configure(tcp("other"))
    assert "state/checker/certificate/one" in play.withdrawn
