"""Generations of the compiled configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keepbus.config.model.configuration import Configuration, GlobalDefs
from keepbus.config.model.vrrp import VrrpInstance, VrrpSection
from keepbus.runtime import generation

ONE = Configuration(
    global_defs=GlobalDefs(router_id="d1"),
    vrrp=VrrpSection(instances=(VrrpInstance(name="VI_1", interface="eth0", virtual_router_id=51),)),
)


def test_a_written_generation_is_what_a_service_loads(tmp_path: Path) -> None:
    assert generation.write(tmp_path, ONE, Path("/etc/keepalived.conf")) == 1
    assert generation.load(tmp_path, "vrrp", VrrpSection) == (1, ONE.vrrp)
    assert generation.source(tmp_path) == Path("/etc/keepalived.conf")


def test_the_whole_of_it_and_what_it_was_compiled_with(tmp_path: Path) -> None:
    generation.write(tmp_path, ONE, Path("f"))
    assert generation.load_all(tmp_path) == (1, ONE)
    assert generation.config_id(tmp_path) == ""
    generation.write(tmp_path, ONE, Path("f"), "d1")
    assert generation.load_all(tmp_path) == (2, ONE)
    assert generation.config_id(tmp_path) == "d1"


def test_whoever_may_only_read_it_cannot_change_what_the_next_reload_compiles(tmp_path: Path) -> None:
    before = os.umask(0o007)
    try:
        generation.write(tmp_path, ONE, Path("f"), "d1", "ipvs")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "config" / "1").iterdir()}
    assert {"source", "config_id", "ipvs_driver", "vrrp.json"} <= modes.keys()
    assert set(modes.values()) == {0o640}


def test_a_generation_without_an_id_has_none(tmp_path: Path) -> None:
    generation.write(tmp_path, ONE, Path("f"), "d1")
    (tmp_path / "config" / "1" / "config_id").unlink()
    assert generation.config_id(tmp_path) == ""


def test_numbers_grow_and_old_ones_go(tmp_path: Path) -> None:
    numbers = [generation.write(tmp_path, ONE, Path("f")) for _ in range(8)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8]
    kept = sorted(int(path.name) for path in (tmp_path / "config").iterdir() if path.name.isdecimal())
    assert kept == [4, 5, 6, 7, 8]
    assert generation.load(tmp_path, "vrrp", VrrpSection)[0] == 8


def test_a_broken_section_says_what_to_do(tmp_path: Path) -> None:
    generation.write(tmp_path, ONE, Path("f"))
    (tmp_path / "config" / "1" / "vrrp.json").write_text('{"instances": [{}]}')
    for load in (
        lambda: generation.load(tmp_path, "vrrp", VrrpSection),
        lambda: generation.load_all(tmp_path),
    ):
        with pytest.raises(
            generation.NoConfigurationError, match=r"field interface is missing.*keepbus reload"
        ):
            load()


def test_an_empty_run_directory_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(generation.NoConfigurationError, match="keepbus up -f FILE"):
        generation.load(tmp_path, "vrrp", VrrpSection)
    with pytest.raises(generation.NoConfigurationError, match="keepbus up -f FILE"):
        generation.load_all(tmp_path)
    with pytest.raises(generation.NoConfigurationError, match="name one with -r"):
        generation.source(tmp_path)


def test_a_generation_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    generation.write(tmp_path, ONE, Path("f"))
    (tmp_path / "config" / ".2.new").write_text("in the way")
    with pytest.raises(OSError, match="File exists"):
        generation.write(tmp_path, ONE, Path("f"))
    assert generation.load(tmp_path, "vrrp", VrrpSection)[0] == 1
