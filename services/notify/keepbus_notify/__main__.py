"""keepbus-notify: runs notify scripts, in order, once."""

from __future__ import annotations

import argparse

from keepbus.config.model.notify import NotifySection
from keepbus.runtime import privileges
from keepbus.runtime.scripts.identity import NEEDS, capabilities_held
from keepbus.runtime.service import Service
from keepbus_notify.machine import DEFAULT_TIME_LIMIT_NS, GROUPS, INSTANCES, Machine
from keepbus_notify.shell import Shell

_NS = 1_000_000_000
_LONGEST_LIMIT_S = 86_400


def main() -> None:
    """Wire the machine to the bus and its processes, and run."""
    # Not by setpriv: what it takes away it takes from the scripts, too (docs/decisions/0504).
    privileges.reduce_to(frozenset(NEEDS))
    service = Service(
        "notify",
        about="Runs notify_master, notify_backup, notify_fault, notify_stop and notify scripts.",
        section=NotifySection,
        topics=(INSTANCES, GROUPS),
        needs=capabilities_held(),
        options=_options,
    )
    shell = Shell(service)
    service.run(Machine(time_limit_ns=int(service.options.time_limit * _NS)), shell.perform)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        metavar="SECONDS",
        default=DEFAULT_TIME_LIMIT_NS / _NS,
        help="end a script that takes longer (default %(default)g; 0: never)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_LIMIT_S:
        raise argparse.ArgumentTypeError(f"from 0 to {_LONGEST_LIMIT_S} seconds expected, not {text}")
    return seconds


if __name__ == "__main__":
    main()
