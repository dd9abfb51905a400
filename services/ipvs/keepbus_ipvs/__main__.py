"""keepbus-ipvs: wiring only."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

from keepbus.config import ipvs_drivers
from keepbus.config.model.ipvs import IpvsSection
from keepbus.runtime.service import Service
from keepbus_ipvs.driver import CHOICES, open_driver
from keepbus_ipvs.machine import Machine
from keepbus_ipvs.shell import Shell


def main(argv: Sequence[str] | None = None) -> None:
    """Run the service until SIGTERM."""
    service = Service(
        "ipvs",
        about="keeps the kernel's virtual server table as configuration and health want it",
        section=IpvsSection,
        topics=("state/checker/verdict/", "state/vrrp/instance/", "command/ipvs/"),
        may_need=("NET_ADMIN",),
        options=_options,
        argv=argv,
    )
    opener = functools.partial(open_driver, service.options.driver, service.run_dir, service.loop)
    shell = Shell(service.run_dir, opener, service.log.warning)
    machine = Machine(ipvs_drivers.unsupported, keep_table=service.options.keep_table)
    try:
        service.run(machine, shell.perform)
    finally:
        shell.close()


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--driver",
        default="auto",
        choices=CHOICES,
        help="ipvs: the kernel's; nftables: NAT for kernels without ip_vs; dry-run: a file; "
        "auto: ipvs where the kernel has it, else nftables",
    )
    parser.add_argument("--keep-table", action="store_true", help="leave the entries in the kernel at a stop")


if __name__ == "__main__":
    main()
