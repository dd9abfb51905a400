"""Faults that reliability.md numbers, as they touch ipvs; those with a file of their own are named there.

R-F8 is in test_ipvs_lives, R-F47 and R-F49 in test_ipvs_machine and tests/uml, R-F87 in tests/simulation.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from config_text import SERVER, compile_text
from ipvs_play import WALL_NS, Play, check_of, real, virtual
from keepbus_ipvs.events import Written
from keepbus_ipvs.pool import pool_of

from keepbus.config.compiler import compile_file
from keepbus.contracts import ipvs as contract
from keepbus.contracts.checker import Verdict

A, B = "172.16.1.3", "172.16.1.4"
S = "-t 172.16.1.254:80"
PAIR = virtual(real(A), real(B, 2))


def hundred(weight: int = 1) -> list[object]:
    return [virtual(real(A, weight), real(B, weight), address=f"10.0.0.{number}") for number in range(100)]


class TestHalfWritten:
    """R-F7: the writer dies in the middle of a batch."""

    @pytest.mark.parametrize("done", [0, 1, 7, 150, 299, 300])
    def test_r_f7_the_next_one_finishes_and_removes_nothing_foreign(self, done: int) -> None:
        first = Play()
        first.silent = True
        first.configure(*hundred())  # type: ignore[arg-type]
        assert sum(map(len, first.batches)) == 300
        whole = Play()
        whole.configure(*hundred())  # type: ignore[arg-type]
        second = Play()
        second.memory = first.memory
        # As far as the first one came.
        second.table = _after(first.batches[0][:done], whole)
        second.configure(*hundred())  # type: ignore[arg-type]
        second.verdict(check_of(A), Verdict.UP)
        second.verdict(check_of(B), Verdict.UP)
        assert len(second.take()) == 300 - done
        assert second.table == whole.table


def _after(commands: list[str], whole: Play) -> dict[object, object]:
    """The table after these commands of the first start."""
    table: dict[object, object] = {}
    for words in commands:
        verb, _, address = words.split()[:3]
        key = next(key for key in whole.table if f"{key.address}:{key.port}" == address)
        entry = whole.table[key]
        if verb == "-A":
            table[key] = entry._replace(destinations={})
        else:
            server = words.split()[4]
            target = next(each for each in entry.destinations if f"{each.address}:{each.port}" == server)
            table[key].destinations[target] = entry.destinations[target]  # type: ignore[attr-defined]
    return table


@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, None])
@pytest.mark.parametrize("applied", [True, False])
def test_r_f46_lost_or_refused_answer_is_unknown_until_the_table_was_read_and_nothing_is_applied_twice(
    number: int | None, applied: bool
) -> None:
    play = Play()
    play.configure(PAIR)
    play.take()
    play.silent = True
    play.verdict(check_of(A), Verdict.DOWN)
    assert play.take() == [f"-d {S} -r {A}:80"]
    key = pool_of(PAIR).keys[0]
    if applied:
        del play.table[key].destinations[pool_of(PAIR).placements[0].destinations[0].key]
    play.silent = False
    play.turn(
        Written(("the kernel's answer was lost" if number is None else errno.errorcode[number],), WALL_NS)
    )
    play.wait(5)
    assert play.take() == ([] if applied else [f"-d {S} -r {A}:80"])
    assert [destination.address for destination in play.table[key].destinations] == [B]
    assert play.told(contract.VirtualServer)[-1].error == ""


def test_r_f36_without_a_bus_the_table_stays_and_is_kept() -> None:
    """The hub is dead for a minute: no verdict comes, and none is needed to repair what somebody changes."""
    play = Play()
    play.configure(PAIR)
    play.verdict(check_of(A), Verdict.DOWN)
    play.take()
    wanted = dict(play.table)
    play.wait(30)
    assert play.take() == []
    play.table.clear()
    play.wait(1.1)
    assert len(play.take()) == 2
    play.wait(30)
    assert play.table == wanted


class TestConfiguration:
    @pytest.mark.parametrize(
        "content",
        [
            SERVER.replace("@", "real_server 192.0.2.9 80 {")[:-40].encode(),
            b"virtual_server 192.0.2.1 80 {\n real_server 192.0.2.9 80 {\n  weight 1",
            b"\0" * 100,
            b"virtual_server 192.0.2.1 80 {\n lb_algo rr\0\n}\n",
            b"}\n" * 50,
            b"include /dev/full\nvirtual_server group X {\n real_server 192.0.2.9 80 {\n}\n}\n",
        ],
    )
    def test_r_f84_what_is_not_whole_is_rejected_whole_with_the_line(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "keepalived.conf"
        path.write_bytes(content)
        compiled = compile_file(path)
        assert compiled.configuration is None
        assert compiled.errors
        assert all(found.text and found.place.file for found in compiled.errors)

    def test_r_f84_include_loop_and_absent_file(self, tmp_path: Path) -> None:
        assert compile_text(tmp_path, "include keepalived.conf\n").configuration is None
        assert compile_file(tmp_path / "absent").configuration is None

    def test_r_f85_of_a_storm_of_reloads_the_last_one_wins_and_what_stays_is_not_touched(self) -> None:
        play = Play()
        play.configure(PAIR)
        play.take()
        play.deaf = True
        play.silent = True
        for number in range(100):
            play.configure(PAIR, virtual(real(A, number % 7 + 1), address=f"10.0.0.{number % 3}"))
        play.deaf = play.silent = False
        if play.batches:
            play.turn(Written(("the kernel's answer was lost",) * len(play.batches[-1]), WALL_NS))
        play.turn(play.reading())
        play.wait(5)
        cold = Play()
        cold.configure(PAIR, virtual(real(A, 99 % 7 + 1), address="10.0.0.0"))
        assert play.table == cold.table
        assert not any(words.split()[2] == "172.16.1.254:80" for words in play.take())

    def test_r_f86_a_server_that_moves_to_another_address_is_there_before_it_leaves(self) -> None:
        play = Play()
        play.configure(PAIR)
        play.take()
        play.configure(virtual(real(A), real(B, 2), address="10.0.0.9"))
        written = play.take()
        assert written[0].startswith("-A -t 10.0.0.9:80")
        assert written[-1] == f"-D {S}"
