"""The text in a service's lock file; that the lock itself excludes is shown by the tests of nodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keepbus.runtime.lock import Lock


def test_the_text_is_the_pid_and_then_how_it_ended(tmp_path: Path) -> None:
    lock = Lock(tmp_path, "vrrp")
    assert lock.take()
    assert int(lock.path.read_text()) == int(lock.signature()) == os.getpid()
    assert not lock.stopped_on_purpose()
    lock.sign_off()
    assert lock.stopped_on_purpose()
    lock.release()


def test_signing_anew_takes_no_room_and_shows_no_empty_file_in_between(tmp_path: Path) -> None:
    lock = Lock(tmp_path, "vrrp")
    assert lock.take()
    size = lock.path.stat().st_size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda *_: pytest.fail("the text was away for a moment"))
        lock.sign_off()
        lock.sign()
    assert lock.path.stat().st_size == size
    lock.release()


def test_a_full_disk_keeps_nobody_from_holding_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    lock = Lock(tmp_path, "vrrp")
    monkeypatch.setattr(os, "pwrite", full)
    assert lock.take()
    assert lock.signature() == ""
    lock.release()
