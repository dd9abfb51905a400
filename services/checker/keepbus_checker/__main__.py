"""keepbus-checker: probes the real servers and tells their verdicts."""

from __future__ import annotations

import argparse
import random

from keepbus.config.model.checker import CheckerSection
from keepbus.runtime import privileges
from keepbus.runtime.service import Service
from keepbus_checker.confinement import MARKING, confine
from keepbus_checker.machine import Machine
from keepbus_checker.runner import fork
from keepbus_checker.share import Share
from keepbus_checker.shell import Shell, most_open


def main() -> None:
    """Entry point of `keepbus-checker`."""
    early = argparse.ArgumentParser(add_help=False)
    add_options(early)
    share: Share = early.parse_known_args()[0].share
    # Not by setpriv: what it takes away it takes from the scripts, too (docs/decisions/0203).
    runner = fork() if share.number == 1 else None
    privileges.give_up(MARKING)
    service = Service(
        share.name,
        of="checker",
        about="Probe the real servers and tell their verdicts.",
        section=CheckerSection,
        part=share.part,
        topics=("state/vrrp/instance/", "state/bfd/session/"),
        may_need=MARKING,
        options=add_options,
    )
    shell = Shell(service.loop, runner=runner, confine=confine)
    service.run(Machine(seed=random.SystemRandom().getrandbits(64), most_open=most_open()), shell.perform)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of this service alone."""
    parser.add_argument(
        "--share",
        type=Share.of,
        default=Share(),
        metavar="NUMBER/PROCESSES",
        help="probe this part of the targets; the others are other processes'",
    )


if __name__ == "__main__":
    main()
