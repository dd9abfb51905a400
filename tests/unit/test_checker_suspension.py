"""`ha_suspend`: what rests while the address is elsewhere (keepalived-features 12.6)."""

from __future__ import annotations

from pathlib import Path

from checker_play import Play, down, tcp
from config_text import INSTANCE, SERVER, compile_text, is_error
from test_ipvs_settings import instance

from keepbus.contracts.checker import Verdict
from keepbus.contracts.vrrp import VrrpState

REAL = "real_server 198.51.100.1 80 {\nTCP_CHECK {\n}\n}\n"


def tell(play: Play, state: VrrpState) -> None:
    play.hear(instance(state))  # type: ignore[arg-type]


def test_nothing_is_probed_until_the_instance_holds_its_addresses_and_the_verdict_stays_afterwards() -> None:
    play = Play(down).configure(tcp("rests", ha_suspend=("VI_1",)), tcp("goes on"))
    play.until(20)
    assert {check for _, check, _ in play.probes} == {"goes on"}
    tell(play, VrrpState.MASTER)
    play.until(40)
    verdicts = [body for _, body in play.published if getattr(body, "check", "") == "rests"]
    assert verdicts[-1].verdict is Verdict.DOWN
    tell(play, VrrpState.BACKUP)
    probes = len([1 for _, check, _ in play.probes if check == "rests"])
    assert probes > 5
    play.target = lambda _probe, _count: None
    play.until(80)
    assert len([1 for _, check, _ in play.probes if check == "rests"]) == probes
    verdicts = [body for _, body in play.published if getattr(body, "check", "") == "rests"]
    assert (verdicts[-1].verdict, verdicts[-1].changes) == (Verdict.DOWN, 1)


def test_one_of_several_instances_is_enough() -> None:
    play = Play().configure(tcp("one", ha_suspend=("VI_0", "VI_1")))
    tell(play, VrrpState.MASTER)
    play.until(10)
    assert play.probes


class TestConfiguration:
    def test_the_instances_that_have_the_address(self, tmp_path: Path) -> None:
        text = INSTANCE.replace("@", "") + SERVER.replace("@", f"ha_suspend\n{REAL}")
        compiled = compile_text(tmp_path, text)
        assert compiled.configuration is not None, compiled.diagnostics
        (server,) = compiled.configuration.ipvs.virtual_servers
        (check,) = compiled.configuration.checker.checks
        assert server.ha_suspend == check.ha_suspend == ("VI_1",)

    def test_an_address_of_no_instance_and_a_mark_are_refused(self, tmp_path: Path) -> None:
        elsewhere = SERVER.replace("192.0.2.1", "192.0.2.77").replace("@", f"ha_suspend\n{REAL}")
        assert is_error(compile_text(tmp_path, INSTANCE.replace("@", "") + elsewhere), "ha-suspend")
        marked = SERVER.replace("192.0.2.1 80", "fwmark 7").replace("@", f"ha_suspend\n{REAL}")
        assert is_error(compile_text(tmp_path, INSTANCE.replace("@", "") + marked), "ha-suspend")
