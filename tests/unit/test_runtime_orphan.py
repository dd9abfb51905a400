"""Whether the node's supervisord lives, as a service asks before it begins."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from keepbus.runtime.service import _is_orphan


def supervised_by(run_dir: Path, pid: int) -> Path:
    (run_dir / "supervisor").mkdir()
    (run_dir / "supervisor" / "pid").write_text(f"{pid}\n")
    return run_dir


def test_who_has_a_living_supervisord_is_no_orphan(tmp_path: Path) -> None:
    assert not _is_orphan(supervised_by(tmp_path, os.getpid()))


def test_who_has_a_supervisord_that_proc_does_not_show_is_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc mounted with hidepid hides the processes of others."""
    read = Path.read_text

    def hidden(path: Path, *words: str, **named: str) -> str:
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read(path, *words, **named)

    supervised_by(tmp_path, os.getpid())
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not _is_orphan(tmp_path)


def test_who_has_one_that_died_is(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert _is_orphan(supervised_by(tmp_path, process.pid)), "a zombie is dead"
        process.wait()
        assert _is_orphan(tmp_path)
