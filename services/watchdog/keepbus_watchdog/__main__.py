"""keepbus-watchdog: wakes supervisord when a service dies, replaces one that stands still."""

from __future__ import annotations

from keepbus.runtime import rundir
from keepbus.runtime.service import Service
from keepbus_watchdog.machine import Machine
from keepbus_watchdog.shell import Shell


def main() -> None:
    """Run the watchdog until it is told to stop."""
    service = Service(
        "watchdog",
        about="bring back services that died or stand still",
        urgent=True,
    )
    names = (*rundir.services(service.run_dir), *rundir.STANDBYS)
    for name in names:
        service.listener.subscribe(f"state/{name}/service")
    shell = Shell(service.loop, service.log, rundir.supervisor_socket(service.run_dir))
    service.run(Machine(name for name in names if name != "watchdog"), shell.perform)


if __name__ == "__main__":
    main()
