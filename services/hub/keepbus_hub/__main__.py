"""keepbus-hub: the two sockets of the bus."""

from __future__ import annotations

import zmq

from keepbus.bus.client import listen_address, speak_address
from keepbus.runtime.service import EXIT_USAGE, Service
from keepbus_hub.machine import Machine
from keepbus_hub.shell import Shell


def main() -> None:
    """Run the hub until it is told to stop."""
    service = Service("hub", about="pass messages on, keep the last of each state")
    try:
        shell = Shell(service.context, service.run_dir)
    except (zmq.ZMQError, OSError) as error:
        service.fail(
            f"cannot bind {speak_address(service.run_dir)} and {listen_address(service.run_dir)}: {error}; "
            "choose a shorter run directory that this user may write",
            EXIT_USAGE,
        )
    for fd in shell.filenos():
        service.loop.watch(fd, shell.read)
    service.closing.append(shell.close)
    service.run(Machine(), shell.perform)


if __name__ == "__main__":
    main()
