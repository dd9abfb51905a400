"""What the `keepbus` command says to mistakes: one sentence that names the thing and says what to do."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from keepbus.bus.client import listen_address
from keepbus.cli import demote, up
from keepbus.cli.__main__ import main
from keepbus.config.model.configuration import Configuration
from keepbus.runtime import generation, privileges, rundir

CLEAN = "global_defs {\n router_id one\n}\n"


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had what a node needs; the umask is put back."""
    monkeypatch.setattr(privileges, "missing", lambda needed, held: ())
    mask = os.umask(0o022)
    os.umask(mask)
    monkeypatch.setattr(os, "umask", lambda _mask: mask)


def said(capsys: pytest.CaptureFixture[str], words: Sequence[str | Path]) -> tuple[int, str]:
    """Exit status, and what was said on both outputs."""
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = int(str(end.code))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out + err


def test_up_with_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--permissive` is no way to read it."""
    absent = tmp_path / "absent.conf"
    status, text = said(capsys, ["up", "-f", absent, "-r", tmp_path / "run"])
    assert status == 2
    assert text.splitlines() == [
        f"{absent}: error: this file cannot be read: No such file or directory [unreadable]",
        "1 error; the file can't be used",
        f"keepbus: {absent} cannot be used; the node is not started",
    ]
    assert not (tmp_path / "run").exists()


def test_up_with_program_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.conf").write_text(CLEAN, encoding="utf-8")
    programs = tmp_path / "programs"
    words = ["up", "-f", tmp_path / "a.conf", "-r", tmp_path / "run", "--programs", programs]
    assert said(capsys, words) == (
        2,
        f"keepbus: there is no folder {programs}; name that of your program files with --programs\n",
    )


@pytest.mark.parametrize("number", ["0", "65", "two", "-1", "\u0663"])
def test_a_number_of_checkers_that_cannot_be(number: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 64 are possible"):
        up._processes(number)


def test_up_in_a_run_directory_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.conf").write_text(CLEAN, encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    status, text = said(capsys, ["up", "-f", tmp_path / "a.conf", "-r", tmp_path / "file"])
    assert (status, text.splitlines()[-1]) == (
        2,
        f"keepbus: cannot write {tmp_path}/file: File exists; "
        "name a run directory that this user may write with -r RUNDIR",
    )


def test_a_node_that_this_user_may_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a node, and who asks is told what he lacks."""

    def refuse(path: Path, **_: str) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert said(capsys, ["reload", "-r", tmp_path]) == (
        2,
        f"keepbus: you may not read the node's configuration in {tmp_path}; become root or join its group\n",
    )


def test_a_node_that_this_user_may_only_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """He is not told to start the node anew."""
    generation.write(tmp_path, Configuration(), Path("/etc/a.conf"))
    path = listen_address(tmp_path)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as hub:
        hub.bind(str(path))
        hub.listen()
        monkeypatch.setattr(os, "access", lambda *_: False)
        told = [said(capsys, [*words, "-r", tmp_path]) for words in (["reload"], ["drain", "10.0.0.1"])]
    assert told == [
        (2, f"keepbus: you may not reload the node in {tmp_path}; become root\n"),
        (2, f"keepbus: you may not speak to the node in {tmp_path}; become root\n"),
    ]


def test_a_hub_that_stands_still_holds_nobody_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = listen_address(tmp_path)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as hub, contextlib.ExitStack() as callers:
        hub.bind(str(path))
        hub.listen(0)
        with contextlib.suppress(BlockingIOError):  # until no more are taken in
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(str(path))
        status, text = said(capsys, ["status", "-r", tmp_path])
    assert status == 1
    assert text.startswith(f"keepbus: cannot listen on {path}: ")


def test_a_full_disk_names_no_file_so_the_run_directory_is_named() -> None:
    full = OSError(28, "No space left on device")
    assert rundir.unwritable(Path("/run/x"), full) == (
        "cannot write /run/x: No space left on device; make room there"
    )
    other = OSError(30, "Read-only file system", "/run/x/node")
    assert rundir.unwritable(Path("/run/x"), other) == (
        "cannot write /run/x/node: Read-only file system; "
        "name a run directory that this user may write with -r RUNDIR"
    )


def test_explain_of_a_file_that_is_no_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.conf").write_text(CLEAN, encoding="utf-8")
    assert said(capsys, ["explain", "VI_1", tmp_path / "a.conf"]) == (
        1,
        f"keepbus: no instance is known in {tmp_path}/a.conf; name journals that an audit service wrote\n",
    )


def run(words: str, redirection: str = "", **environment: str) -> tuple[int, str]:
    """A verb in a process of its own, its output redirected by a shell; exit status and both outputs."""
    command = f"exec {sys.executable} -m keepbus.cli {words} {redirection}"
    found = subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    return found.returncode, found.stdout + found.stderr


@pytest.mark.parametrize("size", ["check {file}", "check --keywords"])
def test_an_output_that_is_full(tmp_path: Path, size: str) -> None:
    """A line that is written at the end, and more than a buffer holds."""
    (tmp_path / "a.conf").write_text(CLEAN, encoding="utf-8")
    words = size.format(file=tmp_path / "a.conf")
    sentence = "keepbus: the output cannot be written: No space left on device\n"
    assert run(words, ">/dev/full") == (1, sentence)


def test_an_output_that_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(CLEAN, encoding="utf-8")
    assert run(f"check {tmp_path}/a.conf", ">&-") == (0, "")
    assert run(f"check {tmp_path}/b.conf", ">&- 2>&-") == (2, "")


def test_an_output_whose_encoding_lacks_characters(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("global_defs {\n router_id one\u00a0\u2192\n}\n", encoding="utf-8")
    status, text = run(f"check {tmp_path}/a.conf", PYTHONIOENCODING="ascii")
    assert status == 1
    assert "router_id one" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("number", ["soon", "nan", "-1", "0", "1e9"])
def test_a_time_limit_that_cannot_be(capsys: pytest.CaptureFixture[str], number: str) -> None:
    status, text = said(capsys, ["digest", f"--timeout={number}", "http://10.0.0.1/"])
    assert status == 2
    assert text.endswith(f"more than 0 and at most 3600 seconds expected, not {number}\n")


@pytest.mark.parametrize(
    ("service", "option", "number", "sentence"),
    [
        ("notify", "--time-limit", "nan", "from 0 to 86400 seconds expected, not nan"),
        ("notify", "--time-limit", "-1", "from 0 to 86400 seconds expected, not -1"),
        ("notify", "--time-limit", "soon", "from 0 to 86400 seconds expected, not soon"),
        ("audit", "--journal-size", "0", "1 or more expected, not 0"),
        ("audit", "--journal-files", "two", "1 or more expected, not two"),
    ],
)
def test_an_option_of_a_service_that_cannot_be(
    tmp_path: Path, service: str, option: str, number: str, sentence: str
) -> None:
    words = [sys.executable, "-m", f"keepbus_{service}", "-r", str(tmp_path), f"{option}={number}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1].partition(f"{option}: ")[2]) == (2, sentence)


def test_a_number_of_transitions_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, ["explain", "--number", "two", "VI_1"])
    assert status == 2
    assert text.endswith("a number of transitions expected, not two\n")


def test_demote_of_some_and_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = said(capsys, ["demote", "-r", tmp_path, "VI_1", "--all"])
    assert (status, text) == (2, "keepbus: name instances or take --all, not both\n")


def test_demote_where_there_is_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demote, "collect", lambda *_: {})
    status, text = said(capsys, ["demote", "-r", tmp_path, "--all"])
    assert (status, text) == (2, f"keepbus: the node in {tmp_path} has no instances\n")
