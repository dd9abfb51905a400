"""What `keepbus reload` waits for, and what it passes on of the services' complaints."""

from __future__ import annotations

from pathlib import Path

from keepbus.cli.reload import _wait
from keepbus.contracts.common import Service, Status
from keepbus.contracts.message import Header, Message
from keepbus.runtime import rundir


def beat(name: str, generation: int, status: Status = Status.READY, detail: str = "") -> Message:
    body = Service(pid=1, started_ns=1, generation=generation, status=status, detail=detail, progress=1)
    header = Header(version=1, node="n1", source=name, boot="b", seq=1, nth=1, at_ns=1, sent_ns=1, cause="")
    return Message(f"state/{name}/service", header, body)


class Ear:
    """Gives one list of messages after the other, then nothing."""

    def __init__(self, *heard: list[Message]) -> None:
        self._heard = list(heard)

    def hear(self, _timeout_s: float) -> list[Message]:
        return self._heard.pop(0) if self._heard else []


SERVICES = (*rundir.SERVICES, "checker-2")
EVERY = [beat(name, 2) for name in SERVICES]


def waited(*heard: list[Message]) -> tuple[list[str], dict[str, str]]:
    return _wait(Ear(*heard), SERVICES, 2, 0.05)  # type: ignore[arg-type]


def test_those_that_do_not_confirm_are_named() -> None:
    assert waited([each for each in EVERY if each.header.source != "ipvs"], [beat("ipvs", 1)]) == (
        ["ipvs"],
        {},
    )


def test_every_checker_of_the_node_is_waited_for(tmp_path: Path) -> None:
    programs = tmp_path / "supervisor" / "programs"
    programs.mkdir(parents=True)
    assert rundir.services(tmp_path) == list(rundir.SERVICES)
    for name in ("checker", "checker-2", "checker-3", "checker-mine"):
        (programs / f"{name}.conf").touch()
    first = rundir.SERVICES.index("checker")
    more = [*rundir.SERVICES[: first + 1], "checker-2", "checker-3", *rundir.SERVICES[first + 1 :]]
    assert rundir.services(tmp_path) == more
    assert waited([each for each in EVERY if each.header.source != "checker-2"]) == (["checker-2"], {})


def test_what_a_service_complains_of_is_passed_on() -> None:
    """Second thoughts too: a script that will not run is found out after the configuration was taken."""
    sentence = "notify_master of VI_1 will not run: /x/a.sh cannot be run: No such file or directory"
    complaint = beat("notify", 2, Status.DEGRADED, sentence)
    assert waited(EVERY, [complaint]) == ([], {"notify": sentence})
    assert waited([complaint], EVERY) == ([], {})
    assert waited([beat("notify", 1, Status.DEGRADED, "of before")], EVERY) == ([], {})
