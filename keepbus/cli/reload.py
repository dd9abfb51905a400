"""`keepbus reload`: compile the node's file anew and hand it to every service."""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from keepbus.cli import network_namespace
from keepbus.cli.bus import Ear, NoNode, require_hub
from keepbus.cli.compiling import compile_and_tell
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import clean
from keepbus.config.model.configuration import Configuration
from keepbus.contracts.common import Status
from keepbus.runtime import generation, rundir
from keepbus.runtime.supervisord import SupervisordError, call

ABOUT = "compile the node's configuration file anew and run it"

_CONFIRMATION_S = 5.0
_SECOND_THOUGHTS_S = 0.2
_LONGEST_DRAIN_S = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    add_run_dir(parser)
    parser.add_argument(
        "--permissive",
        action="store_true",
        help="run the file in spite of errors in it (as if `up` had been told)",
    )
    parser.add_argument(
        "--drain",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="servers that are not in the file any more get no new connections and leave after that time",
    )


def _seconds(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word) <= _LONGEST_DRAIN_S):
        raise argparse.ArgumentTypeError(f"a number of seconds up to {_LONGEST_DRAIN_S} expected, not {word}")
    return int(word)


def run(options: argparse.Namespace) -> int:
    """0 when every service runs the new generation, 1 when some do not, 2 when nothing was changed."""
    run_dir: Path = options.run_dir.absolute()
    try:
        source = generation.source(run_dir)
        require_hub(run_dir)
    except (generation.NoConfigurationError, NoNode) as error:
        return _refuse(str(error))
    if not os.access(rundir.supervisor_socket(run_dir).parent, os.X_OK):
        return _refuse(f"you may not reload the node in {run_dir}; become root")
    os.umask(0o027)
    permissive = options.permissive or (run_dir / "permissive").exists()
    config_id, driver = generation.config_id(run_dir), generation.ipvs_driver(run_dir)
    # One at a time: each compiles what it finds when it is its turn, so the last one has the last word.
    with _turn(run_dir):
        configuration = compile_and_tell(
            source, permissive=permissive, config_id=config_id, ipvs_driver=driver
        )
        if configuration is None:
            return _refuse(
                f"{source} cannot be used; the node runs on with generation {generation.current(run_dir)}"
            )
        if obstacle := network_namespace.moved(run_dir, configuration.global_defs):
            return _refuse(f"{obstacle}; the node runs on with generation {generation.current(run_dir)}")
        ipvs = dataclasses.replace(configuration.ipvs, drain_s=options.drain)
        configuration = dataclasses.replace(configuration, ipvs=ipvs)
        return _hand_over(run_dir, configuration, source, config_id, driver)


def _hand_over(run_dir: Path, configuration: Configuration, source: Path, config_id: str, driver: str) -> int:
    supervisord = rundir.supervisor_socket(run_dir)
    try:
        services = rundir.services(run_dir)
        with Ear(run_dir, [f"state/{name}/service" for name in services]) as ear:
            call(supervisord, "supervisor.getState")  # before anything is written
            number = generation.write(run_dir, configuration, source, config_id, driver)
            call(supervisord, "supervisor.signalAllProcesses", "HUP")
            silent, degraded = _wait(ear, services, number, _CONFIRMATION_S)
    except NoNode as error:
        return _refuse(str(error))
    except SupervisordError as error:
        return _refuse(f"supervisord of the node in {run_dir} does not answer ({error}); start the node anew")
    except OSError as error:
        return _refuse(rundir.unwritable(run_dir, error))
    if silent:
        print(
            f"keepbus: generation {number} of {source} is not confirmed by {', '.join(silent)} "
            f"within {_CONFIRMATION_S:.0f} s; look at the node's log",
            file=sys.stderr,
        )
        return 1
    print(f"keepbus: every service runs generation {number} of {source}")
    for name, detail in degraded.items():
        print(f"keepbus: {name} is degraded: {clean(detail)}", file=sys.stderr)
    return 0


def _wait(ear: Ear, services: Sequence[str], number: int, limit_s: float) -> tuple[list[str], dict[str, str]]:
    """Wait until every service says that it runs this generation; those that do not, in order of start. And
    what those complain of that do."""
    silent = list(services)
    degraded: dict[str, str] = {}
    deadline = time.monotonic() + limit_s
    while (left_s := deadline - time.monotonic()) > 0:
        for message in ear.hear(left_s):
            name, body = message.header.source, message.body
            if body is None or body.generation < number:
                continue
            degraded.pop(name, None)
            if body.status is Status.DEGRADED:
                degraded[name] = body.detail
            if name in silent:
                silent.remove(name)
                if not silent:  # whoever has just taken it may still look at it
                    deadline = min(deadline, time.monotonic() + _SECOND_THOUGHTS_S)
    return silent, degraded


class _turn:  # noqa: N801 - reads as a statement
    """Hold the configuration folder against other reloads."""

    def __init__(self, run_dir: Path) -> None:
        self._fd = os.open(run_dir / "config", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _refuse(sentence: str) -> int:
    print(f"keepbus: {sentence}", file=sys.stderr)
    return 2
