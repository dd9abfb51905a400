"""What survived a long collection is not looked at again, and a dead cycle still goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from keepbus.runtime import collector
from keepbus.runtime.collector import LONG_NS, Watch


class Node:
    """Can be part of a cycle."""

    other: object


@pytest.fixture
def unfrozen() -> Iterator[None]:
    before = list(gc.callbacks)
    gc.unfreeze()
    yield
    gc.callbacks[:] = before
    gc.unfreeze()


def freezes(generation: int, took_ns: int) -> int:
    moments = iter((1_000, 1_000 + took_ns))
    frozen: list[None] = []
    watch = Watch(lambda: next(moments), lambda: frozen.append(None))
    watch("start", {"generation": generation})
    watch("stop", {"generation": generation})
    return len(frozen)


def test_only_a_full_collection_that_took_long_is_the_last_one() -> None:
    assert freezes(2, LONG_NS) == 1
    assert freezes(2, LONG_NS - 1) == 0
    assert freezes(1, 10 * LONG_NS) == 0


def test_a_large_table_is_looked_at_once(unfrozen: None) -> None:
    with collector.building():
        table = [[number] for number in range(1_000_000)]
    collector.watch()
    gc.collect()
    assert gc.get_freeze_count() >= len(table)
    younger = Node()
    younger.other = younger
    dead = weakref.ref(younger)
    del younger
    gc.collect()
    assert dead() is None


def test_nothing_is_collected_while_much_is_built_and_everything_afterwards() -> None:
    with collector.building():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    with collector.building():
        pass
    assert not gc.isenabled()
    gc.enable()
