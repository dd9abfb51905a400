"""keepbus-watchdog: wakes supervisord when a service dies, replaces one that stands still."""

from __future__ import annotations

from keepbus.runtime import rundir
from keepbus.runtime.service import Service
from keepbus_watchdog.machine import Machine
from keepbus_watchdog.shell import Shell


def main() -> None:
    """Run the watchdog until it is told to stop."""
    names = (*rundir.SERVICES, *rundir.STANDBYS)
    service = Service(
        "watchdog",
        about="bring back services that died or stand still",
        topics=[f"state/{name}/service" for name in names],
        spared=True,
    )
    shell = Shell(service.loop, service.log, rundir.supervisor_socket(service.run_dir))
    service.run(Machine(name for name in names if name != "watchdog"), shell.perform)


if __name__ == "__main__":
    main()
