"""keepbus-vrrp: wiring."""

from __future__ import annotations

import argparse

from keepbus.config.model.vrrp import VrrpSection
from keepbus.runtime.service import Service
from keepbus_vrrp import demotion
from keepbus_vrrp.machine import Machine
from keepbus_vrrp.shell import Shell
from keepbus_vrrp.tracking import TOPICS

_CLOCK_CHECK_NS = 1_000_000_000
_LOCK_CHECK_NS = 1_000_000_000
_SYSCTL_CHECK_NS = 10_000_000_000


def main() -> None:
    """Run the service."""
    service = Service(
        "vrrp",
        about="VRRP: elects the master and holds the virtual addresses.",
        section=VrrpSection,
        topics=(*TOPICS, demotion.TOPIC),
        needs=("NET_ADMIN", "NET_RAW"),
        options=_options,
        standby=True,
        urgent=True,
    )
    try:
        shell = Shell(service.run_dir, service.node, service.loop, service.log.warning)
    except OSError as error:
        what = error.filename or "the kernel's network"
        service.fail(
            f"cannot use {what}: {error.strerror}; run the node as root, with -r in a writable folder"
        )
    service.loop.every(_CLOCK_CHECK_NS, shell.look_at_wall_clock)
    service.loop.every(_LOCK_CHECK_NS, shell.look_at_locks)
    service.loop.every(_SYSCTL_CHECK_NS, shell.look_at_sysctls)
    machine = Machine(keep_addresses=service.options.keep_addresses, node=service.node)
    service.run(machine, shell.perform)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep-addresses", action="store_true", help="leave the virtual addresses in the kernel at the end"
    )


if __name__ == "__main__":
    main()
