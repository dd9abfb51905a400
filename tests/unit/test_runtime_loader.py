"""A section that is loaded again and again: as `generation.load` would, and what is the same is the same."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from keepbus.config.model.configuration import Configuration
from keepbus.config.model.ipvs import IpvsSection, RealServer, SyncDaemon, VirtualServer
from keepbus.config.model.scripts import Script
from keepbus.runtime import generation
from keepbus.runtime.generation import NoConfigurationError
from keepbus.runtime.loader import Loader

AWKWARD = Script(argv=("/bin/x", '],\n"]', "{\n", "}, {", ": ["))


def servers(*numbers: int) -> tuple[VirtualServer, ...]:
    return tuple(
        VirtualServer(
            address=f"192.0.2.{number}",
            port=80,
            real_servers=(RealServer(address="198.51.100.1", port=number),),
            quorum_up=AWKWARD,
        )
        for number in numbers
    )


def write(run_dir: Path, section: IpvsSection) -> None:
    generation.write(run_dir, Configuration(ipvs=section), Path("/etc/keepalived.conf"))


def test_one_change_leaves_all_others_the_same_objects(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    write(tmp_path, IpvsSection(virtual_servers=servers(1, 2, 3, 4)))
    _, before = loader.load()
    write(tmp_path, IpvsSection(virtual_servers=servers(1, 9, 3, 4), drain_s=7))
    number, after = loader.load()
    assert (number, after) == (2, IpvsSection(virtual_servers=servers(1, 9, 3, 4), drain_s=7))
    kept = [new is old for new, old in zip(after.virtual_servers, before.virtual_servers, strict=True)]
    assert kept == [True, False, True, True]


@pytest.mark.parametrize("others", [1, 1000])
def test_changes_far_apart_leave_what_is_between_the_same_objects(tmp_path: Path, others: int) -> None:
    between = range(10, 10 + others)
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    write(tmp_path, IpvsSection(virtual_servers=servers(1, 2, *between, 3)))
    _, before = loader.load()
    # Its generation is gone by the next load.
    shutil.rmtree(tmp_path / "config" / "1")
    write(tmp_path, IpvsSection(virtual_servers=servers(2, 4, *between, 3, 5)))
    _, after = loader.load()
    assert after == IpvsSection(virtual_servers=servers(2, 4, *between, 3, 5))
    fresh = [new for new in after.virtual_servers if not any(new is old for old in before.virtual_servers)]
    assert fresh == list(servers(4, 5))


def test_a_file_that_somebody_wrote_to_is_no_measure(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    section = IpvsSection(virtual_servers=servers(1, 2))
    write(tmp_path, section)
    loader.load()
    write(tmp_path, section)
    for number in (1, 2):
        file = tmp_path / "config" / str(number) / "ipvs.json"
        file.write_text(file.read_text().replace("192.0.2.1", "192.0.2.3"))
    assert loader.load() == generation.load(tmp_path, "ipvs", IpvsSection) != (2, section)


def test_one_file_is_kept_open_and_no_more(tmp_path: Path) -> None:
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    open_files = []
    for number in range(1, 5):
        write(tmp_path, IpvsSection(virtual_servers=servers(number)))
        loader.load()
        open_files.append(len(list(Path("/proc/self/fd").iterdir())))
    assert open_files == open_files[:1] * 4


def test_r_f87_whatever_the_reloads_it_is_what_a_cold_start_would_load(tmp_path: Path) -> None:
    chance = random.Random(87)
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    for number in range(1, 60):
        section = IpvsSection(
            virtual_servers=servers(*(chance.randrange(1, 6) for _ in range(chance.randrange(6)))),
            sync_daemon=chance.choice((None, SyncDaemon(interface="eth0"))),
            flush=chance.random() < 0.5,
        )
        if chance.random() < 0.2:
            section = replace(section, virtual_servers=section.virtual_servers[::-1])
        write(tmp_path, section)
        assert loader.load() == generation.load(tmp_path, "ipvs", IpvsSection) == (number, section)


@pytest.mark.parametrize(
    "damage",
    ["", "{", "\0", "[]", '{"virtual_servers": [\n{}\n]}', '{"virtual_servers": [\n7\n]}', "x" * 5000],
)
def test_r_f84_a_file_that_is_not_whole_is_refused_and_the_next_one_is_taken(
    tmp_path: Path, damage: str
) -> None:
    loader = Loader(tmp_path, "ipvs", IpvsSection)
    section = IpvsSection(virtual_servers=servers(1, 2))
    write(tmp_path, section)
    loader.load()
    write(tmp_path, section)
    (tmp_path / "config" / "current" / "ipvs.json").write_text(damage)
    if '"virtual_servers": [\n{}' not in damage:
        with pytest.raises(NoConfigurationError):
            loader.load()
    write(tmp_path, replace(section, flush=True))
    assert loader.load() == (3, replace(section, flush=True))
