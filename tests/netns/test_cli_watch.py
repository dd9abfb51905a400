"""`keepbus status --watch` on a terminal of its own. Needs neither root nor a namespace."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_stage import Stage

from keepbus.contracts import vrrp

HOME = "\x1b[H"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
ECHO = termios.ECHO | termios.ICANON


class Terminal:
    """A terminal with `keepbus status --watch` on it."""

    def __init__(self, stage: Stage, columns: int, rows: int) -> None:
        self._stage = stage
        self.output = ""
        self._ours, self._theirs = pty.openpty()  # theirs stays open: its mode is looked at afterwards
        self.resize(columns, rows)
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            (sys.executable, "-m", "keepbus.cli", "status", "--watch", "-r", str(stage.run_dir)),
            stdin=self._theirs, stdout=self._theirs, stderr=stage.log, start_new_session=True,
            env={**environment, "TERM": "xterm"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        stage.processes.append(self.process)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def resize(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self._ours, (rows, columns))

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._theirs)[3] & ECHO)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            self.output += os.read(self._ours, 65536).decode()

    def frames(self) -> list[list[str]]:
        """The lines of every page that was drawn to its end, without what moves and colours."""
        self.read()
        pages = [page.partition("\x1b[J")[0] for page in self.output.split(HOME)[1:] if "\x1b[J" in page]
        return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", page).replace("\r", "").split("\n") for page in pages]

    def page(self) -> str:
        """The last one."""
        frames = self.frames()
        return "\n".join(frames[-1]) if frames else ""

    def until(self, condition: Callable[[], object]) -> None:
        self._stage.until(condition)

    def ended(self) -> int:
        """The exit status, with the output read meanwhile."""

        def gone() -> bool:
            self.read()
            return self.process.poll() is not None

        self.until(gone)
        self.read()
        return self.process.wait()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "run")
    stage.beat()
    yield stage
    stage.close()


@pytest.fixture
def terminal(stage: Stage) -> Iterator[Terminal]:
    terminal = Terminal(stage, 100, 50)
    yield terminal
    terminal.close()


def test_a_change_is_seen_and_q_ends(stage: Stage, terminal: Terminal) -> None:
    stage.goes(vrrp.VrrpState.BACKUP)
    terminal.until(lambda: "VI_1  BACKUP for" in terminal.page())
    assert terminal.output.startswith("\x1b[?1049h\x1b[?25l")
    assert not terminal.echoes()
    stage.goes(vrrp.VrrpState.BACKUP, vrrp.VrrpState.MASTER)
    terminal.until(lambda: "VI_1  MASTER for" in terminal.page())
    terminal.type("q")
    assert terminal.ended() == 0
    assert terminal.output.endswith(LEAVE)
    assert terminal.echoes()


@pytest.mark.parametrize("end", ["Ctrl-C", signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_as_it_was(terminal: Terminal, end: str | signal.Signals) -> None:
    terminal.until(lambda: "services" in terminal.page())
    if isinstance(end, str):
        terminal.type("\x03")
    else:
        terminal.process.send_signal(end)
    assert terminal.ended() == 0
    assert terminal.output.endswith(LEAVE)
    assert terminal.echoes()


def test_ages_go_on_and_silence_is_seen(terminal: Terminal) -> None:
    # Nobody beats any more for the played services.
    terminal.until(lambda: "vrrp (pid" in terminal.page())
    assert "SILENT" in terminal.page()
    assert len(terminal.frames()) >= 2


def test_it_fits_and_follows_the_size(stage: Stage, terminal: Terminal) -> None:
    terminal.until(lambda: "services" in terminal.page())
    terminal.resize(30, 8)
    terminal.until(lambda: len(terminal.frames()[-1]) == 8)
    assert [line for line in terminal.frames()[-1] if len(line) > 30] == []
    assert "lines more in a tall" in terminal.page()
    assert any("problem" in line for line in terminal.frames()[-1])  # there is no audit
    terminal.resize(3, 1)
    terminal.until(lambda: len(terminal.frames()[-1]) == 1)
    assert len(terminal.page()) <= 3
    terminal.resize(120, 60)
    terminal.until(lambda: "audit was never heard: it is not running" in terminal.page())


def test_a_storm_is_drawn_at_most_four_times_a_second(stage: Stage, terminal: Terminal) -> None:
    terminal.until(lambda: terminal.frames())
    began, before = time.monotonic(), len(terminal.frames())
    while time.monotonic() - began < 1.5:
        stage.goes(vrrp.VrrpState.BACKUP)
        stage.goes(vrrp.VrrpState.MASTER)
        time.sleep(0.01)
    drawn = len(terminal.frames()) - before
    assert 1 <= drawn <= 4 * (time.monotonic() - began) + 2


def test_ctrl_z_gives_the_terminal_back_until_the_page_returns(terminal: Terminal) -> None:
    terminal.until(lambda: "services" in terminal.page())
    terminal.process.send_signal(signal.SIGTSTP)

    def stopped() -> bool:
        status = Path(f"/proc/{terminal.process.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    terminal.until(stopped)
    terminal.read()
    assert terminal.output.endswith(LEAVE)
    assert terminal.echoes()
    frames = len(terminal.frames())
    terminal.process.send_signal(signal.SIGCONT)
    terminal.until(lambda: len(terminal.frames()) > frames)
    assert not terminal.echoes()
    terminal.type("q")
    assert terminal.ended() == 0
    assert terminal.echoes()


def test_without_a_terminal_it_is_shown_once(stage: Stage) -> None:
    shown = stage.keepbus("status", "--watch")
    assert shown.stderr == "keepbus: standard output is no terminal, so the status is shown once\n"
    assert "audit was never heard" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_without_a_node_the_terminal_is_left_alone(stage: Stage) -> None:
    stage.hub.kill()
    stage.hub.wait()
    terminal = Terminal(stage, 80, 24)
    try:
        assert terminal.ended() == 1
        assert terminal.output == ""
    finally:
        terminal.close()
    assert "does not answer" in (stage.run_dir / "log.txt").read_text()
