"""A kernel that refuses, loses answers and is interrupted: what is asked again, and how often (R-F46).

The kernel's side is written from netlink(7) and rtnetlink(7): a request that fails is answered by NLMSG_ERROR
with a negative errno, one that succeeds only when it asked for it (NLM_F_ACK).
"""

from __future__ import annotations

import errno
import struct
from collections import Counter, deque
from collections.abc import Callable

import pytest
from keepbus_vrrp import kernel as kernel_module
from keepbus_vrrp.kernel import Kernel
from keepbus_vrrp.netlink import FOREVER_S, Address

_HEADER = struct.Struct("=IHHII")
_ACK, _ERROR = 0x4, 2
_ADDRESS_AT = 16 + 8 + 4
TRIES = 3
"""In all, of a request that fails for a passing reason."""


class FakeSocket:
    """Answers each request as the script says: 0 or an errno, for an address and how often it was asked."""

    def __init__(self, script: Callable[[int, int], int]) -> None:
        self._script = script
        self._answers: deque[bytes | int] = deque()
        self.asked: Counter[int] = Counter()
        """How often, by the last octet of the address."""
        self.lose = 0
        """So many answers to come are lost: the receive buffer was full."""
        self.strangers: list[bytes] = []

    def send(self, octets: bytes) -> int:
        at = 0
        while at < len(octets):
            length, _, flags, sequence, _ = _HEADER.unpack_from(octets, at)
            last_octet = octets[at + _ADDRESS_AT + 3]
            number = self._script(last_octet, self.asked[last_octet])
            self.asked[last_octet] += 1
            if number or flags & _ACK:
                head = _HEADER.pack(36, _ERROR, 0, sequence, 0)
                self._answers.append(head + struct.pack("=i", -number) + octets[at : at + 16])
            at += (length + 3) & ~3
        if self.lose:
            self.lose -= 1
            self._answers.clear()
            self._answers.append(errno.ENOBUFS)
        return len(octets)

    def recvfrom(self, _octets: int) -> tuple[bytes, tuple[int, int]]:
        if self.strangers:
            return self.strangers.pop(), (4711, 0)
        answer = self._answers.popleft()
        if isinstance(answer, int):
            raise OSError(answer, "no buffer space")
        return answer, (0, 0)

    def __getattr__(self, _name: str) -> Callable[..., tuple[int, int]]:
        """Options, time limits, names: as asked."""
        return lambda *_arguments: (1, 0)


Made = tuple[Kernel, FakeSocket]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, int], int]], Made]:
    def make(script: Callable[[int, int], int]) -> Made:
        fake = FakeSocket(script)
        monkeypatch.setattr(kernel_module, "_open", lambda _groups: fake)
        return Kernel(), fake

    return make


def addresses(count: int) -> list[Address]:
    return [Address(2, bytes((10, 9, 0, number)), 32) for number in range(1, count + 1)]


@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENOMEM])
def test_r_f46_a_passing_refusal_is_asked_again_and_only_what_was_refused(
    made: Callable[..., Made], number: int
) -> None:
    kernel, fake = made(lambda octet, tries: number if octet in (2, 3) and tries < TRIES - 1 else 0)
    assert kernel.install(addresses(4), FOREVER_S) == []
    assert fake.asked == {1: 1, 2: TRIES, 3: TRIES, 4: 1}


def test_r_f46_what_is_refused_for_good_is_told_and_not_asked_again(made: Callable[..., Made]) -> None:
    kernel, fake = made(lambda octet, _tries: errno.EACCES if octet == 2 else 0)
    assert kernel.install(addresses(3), FOREVER_S) == [(addresses(3)[1], "Permission denied")]
    assert fake.asked == {1: 1, 2: 1, 3: 1}


def test_r_f46_a_kernel_that_stays_busy_is_told_after_three_tries(made: Callable[..., Made]) -> None:
    """An effect never waits: the next try is the next advert's."""
    kernel, fake = made(lambda octet, _tries: errno.EBUSY if octet == 3 else 0)
    assert kernel.install(addresses(3), FOREVER_S) == [(addresses(3)[2], "Device or resource busy")]
    assert fake.asked == {1: 1, 2: 1, 3: TRIES}


def test_r_f46_both_kinds_of_refusal_in_one_batch_keep_their_addresses(made: Callable[..., Made]) -> None:
    numbers = {2: errno.EACCES, 4: errno.ENOMEM, 5: errno.EADDRNOTAVAIL}
    kernel, fake = made(lambda octet, _tries: numbers.get(octet, 0))
    all_ = addresses(5)
    assert kernel.remove(all_) == [(all_[1], "Permission denied"), (all_[3], "Cannot allocate memory")]
    assert fake.asked == {1: 1, 2: 1, 3: 1, 4: TRIES, 5: 1}, "what is not there is removed"


def test_r_f46_requests_go_in_batches_and_are_told_by_their_own_index(made: Callable[..., Made]) -> None:
    kernel, fake = made(lambda octet, _tries: errno.EACCES if octet in (1, 64, 65, 200) else 0)
    refused = [address.address[3] for address, _ in kernel.install(addresses(200), FOREVER_S)]
    assert refused == [1, 64, 65, 200]
    assert set(fake.asked.values()) == {1}


def test_r_f46_lost_answers_are_had_by_asking_again(made: Callable[..., Made]) -> None:
    kernel, fake = made(lambda octet, _tries: errno.EACCES if octet == 2 else 0)
    fake.lose = 2
    assert [error for _, error in kernel.install(addresses(3), FOREVER_S)] == ["Permission denied"]
    assert fake.asked == {1: 3, 2: 3, 3: 3}


def test_r_f46_answers_that_are_always_lost_end_in_an_error(made: Callable[..., Made]) -> None:
    kernel, fake = made(lambda _octet, _tries: 0)
    fake.lose = 1000
    with pytest.raises(OSError, match="No buffer space") as raised:
        kernel.install(addresses(1), FOREVER_S)
    assert raised.value.errno == errno.ENOBUFS
    assert fake.asked[1] < 10


def test_another_process_that_answers_is_not_heard(made: Callable[..., Made]) -> None:
    kernel, fake = made(lambda _octet, _tries: 0)
    forged = _HEADER.pack(36, _ERROR, 0, 1, 0) + struct.pack("=i", -errno.EACCES) + bytes(16)
    fake.strangers.append(forged)
    assert kernel.install(addresses(1), FOREVER_S) == []
