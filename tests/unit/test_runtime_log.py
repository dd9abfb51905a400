"""Log lines: readable, whole, and never in the way."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

from keepbus.runtime.log import Logger, Sink


def piped(monkeypatch: pytest.MonkeyPatch, **options: bool) -> tuple[Logger, int]:
    """A logger whose standard error is a pipe, and the pipe's other end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setattr("keepbus.runtime.log.Sink", lambda: Sink(writer))
    return Logger("vrrp", **options), reader


def test_a_line_reads_as_a_sentence_with_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    log, reader = piped(monkeypatch)
    log.info("VI_1: BACKUP -> MASTER", priority=100)
    line = os.read(reader, 1000).decode()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    vrrp     VI_1: BACKUP -> MASTER  priority=100\n",
        line,
    )


def test_what_comes_from_outside_cannot_begin_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log, reader = piped(monkeypatch)
    log.warning("checked", received="200\n2026-01-01 forged")
    assert os.read(reader, 1000).count(b"\n") == 1


def test_a_line_for_which_nothing_can_be_imported_is_lost_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-F43: without a descriptor structlog cannot be read, and a log line is no reason to die."""
    log, reader = piped(monkeypatch)
    with monkeypatch.context() as no_descriptor:
        no_descriptor.setitem(sys.modules, "structlog", None)
        log.info("nobody reads this")
    log.info("there are descriptors again")
    assert (
        os.read(reader, 1000)
        .decode()
        .endswith("there are descriptors again  lost_lines=1\n".replace("  ", " "))
    )


def test_json_lines_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    log, reader = piped(monkeypatch, as_json=True)
    log.error("no", code=1)
    fields = json.loads(os.read(reader, 1000))
    assert (fields["event"], fields["service"], fields["level"], fields["code"]) == ("no", "vrrp", "error", 1)


def test_a_reader_that_does_not_read_loses_lines_and_holds_nobody_up() -> None:
    """R-F38: the log is all that a service writes while it works; what a node remembers is in memory."""
    reader, writer = os.pipe()
    sink = Sink(writer)
    for _ in range(3000):
        sink.msg("x" * 100)
    lost = sink.lost
    assert lost > 0
    while os.read(reader, 65536)[-1:] != b"\n":
        pass
    sink.msg("again")
    assert os.read(reader, 65536).endswith(f"again lost_lines={lost}\n".encode())
