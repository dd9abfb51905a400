"""Several checker processes share the targets."""

from __future__ import annotations

import pytest
from checker_play import bfd, file, http, misc, tcp
from keepbus_checker.share import Share

from keepbus.config.model.checker import CheckerSection
from keepbus.config.model.scripts import Script
from keepbus.config.model.tracking import TrackScript

ADDRESSES = tuple(f"192.0.2.{index}" for index in range(200))
CHECKS = tuple(
    check
    for address in ADDRESSES
    for check in (tcp(f"tcp-{address}", address=address), http("/", name=f"http-{address}", address=address))
)


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_each_check_has_one_process_and_each_target_one(processes: int) -> None:
    section = CheckerSection(checks=CHECKS)
    parts = [Share(number, processes).part(section).checks for number in range(1, processes + 1)]
    assert sorted(check.id for part in parts for check in part) == sorted(check.id for check in CHECKS)
    of = [{check.address for check in part} for part in parts]
    assert sum(map(len, of)) == 200, "no target in two parts"
    assert min(map(len, of)) > 0.5 * 200 / processes


def test_what_has_no_target_is_the_first_ones() -> None:
    script = TrackScript(name="x", script=Script(argv=("/bin/x",)), interval_us=1, timeout_us=1)
    section = CheckerSection(checks=(misc("a"), file("b"), bfd("c")), track_scripts=(script,))
    assert Share(1, 3).part(section) == section
    assert Share(2, 3).part(section) == CheckerSection()


def test_names() -> None:
    assert (Share.of("1/4").name, Share.of("4/4").name) == ("checker", "checker-4")
    for text in ("0/1", "3/2", "2", "a/b"):
        with pytest.raises(ValueError, match=r"expected|invalid literal"):
            Share.of(text)
