"""keepbus-checker: probes the real servers and tells their verdicts."""

from __future__ import annotations

import random

from keepbus.config.model import CheckerSection
from keepbus.runtime import privileges
from keepbus.runtime.service import Service
from keepbus_checker.confinement import MARKING, confine
from keepbus_checker.machine import Machine
from keepbus_checker.runner import fork
from keepbus_checker.shell import Shell, most_open


def main() -> None:
    """Entry point of `keepbus-checker`."""
    # Not by setpriv: what it takes away it takes from the scripts, too (docs/decisions/0203).
    runner = fork()
    privileges.give_up(MARKING)
    service = Service(
        "checker",
        about="Probe the real servers and tell their verdicts.",
        section=CheckerSection,
        topics=("state/vrrp/instance/", "state/bfd/session/"),
        may_need=MARKING,
    )
    shell = Shell(service.loop, runner=runner, confine=confine)
    service.run(Machine(seed=random.SystemRandom().getrandbits(64), most_open=most_open()), shell.perform)


if __name__ == "__main__":
    main()
