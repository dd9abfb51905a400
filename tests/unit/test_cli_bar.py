"""The bar of a long compilation."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from config_text import SERVER

from keepbus.cli.bar import Bar
from keepbus.config.compiler import compile_file


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_drawn_when_it_takes_long_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    stream, moments = Terminal(), iter((0.0, 0.1, 0.6, 0.6, 0.65, 0.9, 0.9))
    with Bar(stream, lambda: next(moments)) as bar:
        for done in (0, 500, 600, 1000):
            bar(done, 1000)
    drawn = stream.getvalue().split("\r")[1:]
    assert drawn[0] == "compiling [###############...............] 500 of 1,000 virtual servers"
    assert drawn[1].startswith("compiling [##############################] 1,000 of 1,000")
    assert not drawn[2].strip()
    assert len(drawn[2]) >= len(drawn[1])
    assert drawn[3] == ""


def test_nothing_is_written_to_a_file() -> None:
    stream = io.StringIO()
    with Bar(stream, lambda: 9.0) as bar:
        bar(1, 2)
    assert stream.getvalue() == ""


def test_the_compiler_tells_how_far_it_is(tmp_path: Path) -> None:
    server = SERVER.replace("@", "real_server 10.0.0.1 80 {\n}")
    path = tmp_path / "keepalived.conf"
    path.write_text("".join(server.replace("192.0.2.1", f"192.0.2.{number}") for number in range(1, 101)))
    told: list[tuple[int, int]] = []
    compile_file(path, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 100), (25, 100), (50, 100), (75, 100)]
