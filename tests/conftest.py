"""Where the tests must be complete, a skipped one is a failure: CI proves all or says what it could not."""

from __future__ import annotations

import os

import pytest

_COMPLETE = os.environ.get("KEEPBUS_TESTS") == "complete"
_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _COMPLETE and _skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _COMPLETE and _skipped:
        terminalreporter.write_line(f"must not be skipped here: {', '.join(_skipped)}", red=True)
