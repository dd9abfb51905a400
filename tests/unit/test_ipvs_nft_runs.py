"""The nftables driver when nft cannot be run (R-F43)."""

from __future__ import annotations

import resource
from pathlib import Path

from keepbus_ipvs.nftables import Nftables

from keepbus.runtime.loop import Loop


def test_without_descriptors_the_table_cannot_be_read_and_the_driver_goes_on(tmp_path: Path) -> None:
    driver = Nftables(tmp_path / "nftables", Loop())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        answers = [list(driver.read() or ()), list(driver.write(()) or ())]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    ((read,), (written,)) = answers
    assert read.error == "cannot list the nftables table: nft cannot be run: Too many open files"
    assert written.errors == ()
    driver.close()
