"""Which driver is chosen, what is said when none can be had, and the file of the dry run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ipvs_play import only_entry, real, virtual
from keepbus_ipvs import memory
from keepbus_ipvs.diff import Command, Verb, difference
from keepbus_ipvs.driver import DriverError, open_driver
from keepbus_ipvs.dry_run import DryRun
from keepbus_ipvs.effects import Remember
from keepbus_ipvs.events import Recalled
from keepbus_ipvs.kernel import Kernel
from keepbus_ipvs.nftables import Nftables
from keepbus_ipvs.pool import pool_of
from keepbus_ipvs.table import AF_INET, TCP, ServiceKey

from keepbus.config.ipvs_drivers import unsupported
from keepbus.config.model.ipvs import Forwarding, SorryServer, VirtualServer
from keepbus.runtime.loop import Loop

NO_IP_VS = "this kernel has no ip_vs: load it with `modprobe ip_vs`"
NO_NFT = "there is no nft command: install the package nftables"


@pytest.fixture
def kernel_without_ip_vs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kernel, "missing", classmethod(lambda cls: NO_IP_VS))


@pytest.fixture
def no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)


@pytest.mark.usefixtures("kernel_without_ip_vs")
class TestChoice:
    def test_ipvs_by_name_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(DriverError, match="modprobe ip_vs`, or use --ipvs-driver nftables"):
            open_driver("ipvs", tmp_path, Loop())

    def test_auto_settles_for_nftables_and_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Nftables, "missing", classmethod(lambda cls: ""))
        driver, detail = open_driver("auto", tmp_path, Loop())
        assert (driver.name, detail) == ("nftables", f"{NO_IP_VS}; NAT through nftables stands in")

    @pytest.mark.usefixtures("no_nft")
    def test_auto_without_either_names_both(self, tmp_path: Path) -> None:
        with pytest.raises(DriverError) as caught:
            open_driver("auto", tmp_path, Loop())
        assert str(caught.value) == f"{NO_IP_VS}; {NO_NFT}"

    @pytest.mark.usefixtures("no_nft")
    def test_nftables_by_name_without_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(DriverError) as caught:
            open_driver("nftables", tmp_path, Loop())
        assert str(caught.value) == NO_NFT


class TestDryRun:
    def test_file_shows_the_table_as_ipvsadm_does(self, tmp_path: Path) -> None:
        driver = DryRun(tmp_path / "ipvs" / "dry-run.json")
        pool = pool_of(virtual(real("172.16.1.3"), real("172.16.1.4", 2)))
        pool.evaluate({}, 1)
        (outcome,) = driver.write(difference(only_entry(pool), None))
        assert outcome.errors == ("", "", "")
        (service,) = json.loads((tmp_path / "ipvs" / "dry-run.json").read_text())
        assert service["ipvsadm"] == [
            "TCP  172.16.1.254:80 rr",
            "  -> 172.16.1.3:80                Route   1",
            "  -> 172.16.1.4:80                Route   2",
        ]
        (reading,) = driver.read()
        assert reading.services[0].entry() == only_entry(pool)

    def test_it_refuses_what_the_kernel_would(self, tmp_path: Path) -> None:
        driver = DryRun(tmp_path / "dry-run.json")
        service = only_entry(pool_of(virtual())).service
        add, remove = Command(Verb.ADD_SERVICE, service), Command(Verb.REMOVE_SERVICE, service)
        (outcome,) = driver.write([remove, add, add, remove])
        assert [bool(error) for error in outcome.errors] == [True, False, True, False]

    def test_the_file_is_the_table_whoever_wrote_or_removed_it(self, tmp_path: Path) -> None:
        path = tmp_path / "dry-run.json"
        driver, other = DryRun(path), DryRun(path)
        one, two = (only_entry(pool_of(virtual(address=address))) for address in ("192.0.2.1", "192.0.2.2"))
        driver.write(difference(one, None))
        other.write(difference(two, None))
        assert [found.entry() for (reading,) in [driver.read()] for found in reading.services] == [one, two]
        driver.write(difference(None, one))
        assert [found.entry() for (reading,) in [other.read()] for found in reading.services] == [two]
        path.unlink()
        (reading,) = driver.read()
        assert reading.services == ()
        driver.write(difference(one, None))
        (reading,) = DryRun(path).read()
        assert [found.entry() for found in reading.services] == [one]

    def test_what_cannot_be_written_is_not_there(self, tmp_path: Path) -> None:
        path = tmp_path / "file" / "dry-run.json"
        path.parent.touch()
        driver = DryRun(path)
        (outcome,) = driver.write(difference(only_entry(pool_of(virtual())), None))
        assert [error.startswith(f"cannot write {path}") for error in outcome.errors] == [True]
        (reading,) = driver.read()
        assert reading.services == ()

    @pytest.mark.parametrize("content", ["", "{", "[{}]", '[{"key": [1]}]', "7"])
    def test_damaged_file_is_an_empty_table(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "dry-run.json"
        path.write_text(content)
        (reading,) = DryRun(path).read()
        assert reading.services == ()


class TestMemory:
    KEY = ServiceKey(AF_INET, TCP, "192.0.2.1", 80)

    def test_keys_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "ipvs" / "memory"
        for what in (
            Remember((self.KEY,)),
            Remember((self.KEY,), (("FWM 1", "192.0.2.9:80"),), True, (900, 120, 300)),
        ):
            memory.remember(path, what)
            assert memory.recall(path) == what
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize("content", ["", "{", "[7]", '[["a"]]', "\0"])
    def test_damaged_file_is_no_memory(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "memory"
        path.write_text(content)
        assert memory.recall(path) == Recalled(())


NAT = {"forwarding": Forwarding.NAT}
FINE = virtual(real("198.51.100.1", **NAT), **NAT)


@pytest.mark.parametrize(
    ("virtual_server", "words"),
    [
        (virtual(real("198.51.100.1"), **NAT), "no DR"),
        (virtual(real("198.51.100.1", forwarding=Forwarding.TUN), **NAT), "no TUN"),
        (virtual(real("198.51.100.1", **NAT), scheduler="wlc", **NAT), "no scheduler wlc; use rr, wrr, sh"),
        (virtual(real("198.51.100.1", uthreshold=5, **NAT), **NAT), "no connection thresholds"),
        (virtual(real("127.0.0.1", **NAT), **NAT), "cannot balance to 127.0.0.1"),
        (
            VirtualServer(
                address="192.0.2.1",
                port=80,
                scheduler="rr",
                sorry_server=SorryServer(address="198.51.100.9", port=80, forwarding=Forwarding.DR),
            ),
            "no DR for the sorry server",
        ),
    ],
)
def test_nftables_says_what_it_cannot_do(virtual_server: VirtualServer, words: str) -> None:
    sentence = unsupported("nftables", virtual_server)
    assert sentence is not None
    assert words in sentence
    assert unsupported("ipvs", virtual_server) is None


def test_nftables_does_nat_by_round_robin_weight_and_source_hash() -> None:
    assert unsupported("nftables", FINE) is None


@pytest.mark.parametrize(
    ("virtual_server", "words"),
    [
        (VirtualServer(address="192.0.2.1", port=0), "needs persistence_timeout"),
        (virtual(real("198.51.100.1", 65536)), "weight 65536"),
        (virtual(real("198.51.100.1", uthreshold=5, lthreshold=6)), "lthreshold 6 is above uthreshold 5"),
    ],
)
@pytest.mark.parametrize("driver", ["", "ipvs", "dry-run", "nftables"])
def test_v18_no_driver_writes_what_has_no_meaning(
    driver: str, virtual_server: VirtualServer, words: str
) -> None:
    assert words in (unsupported(driver, virtual_server) or "")
