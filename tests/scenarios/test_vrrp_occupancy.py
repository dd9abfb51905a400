"""Two nodes on one host with the same virtual router: the second one leaves it alone until it is free."""

from __future__ import annotations

from keepbus_vrrp.effects import Advertise, Install, Occupy, Remove
from keepbus_vrrp.events import Occupied, Remembered
from keepbus_vrrp.machine import Machine
from vrrp_router import LOCAL, VIP, Router, config, kernel, memory_of, on_wire

from keepbus.config.model.vrrp import VirtualAddress, VrrpSection
from keepbus.contracts.common import Status
from keepbus.contracts.vrrp import VrrpState
from keepbus.runtime.machine import Configured, Log, Report, Withdraw
from keepbus.testing.playbook import Playbook, Scene, ns

KEY = "eth0/IPv4/51"
SECOND = config(
    name="VI_2",
    virtual_router_id=52,
    virtual_addresses=(VirtualAddress(address="192.0.2.2", prefix=24, interface="eth0"),),
)


class Late:
    """A node that starts where another one has VI_1 and its address, and perhaps had it itself before."""

    def __init__(self, *memories: tuple[str, int, int, tuple[int, ...]]) -> None:
        self.machine = Machine()
        self.play = Playbook(self.machine)
        section = VrrpSection(instances=(config(), SECOND), address_lease=True)
        self.asked = self.play.at(0, Configured(1, section, ns(0)))
        self.scene = self.play.at(
            0, Occupied(((KEY, 4711),)), Remembered("boot", memories), kernel(LOCAL, VIP)
        )

    def pass_time(self, seconds: float, *taken: tuple[str, int]) -> Scene:
        """Second by second, each question answered."""
        scene = Scene()
        while self.play.now_s < seconds:
            scene.extend(self.play.until(self.play.now_s + 0.5))
            if scene.of(Occupy):
                answer = self.play.at(self.play.now_s, Occupied(taken))
                scene = Scene([effect for effect in scene if not isinstance(effect, Occupy)])
                scene.extend(answer)
        return scene


def test_who_was_first_is_asked_before_anything_else() -> None:
    late = Late()
    assert [type(effect).__name__ for effect in late.asked][:3] == ["Occupy", "Recall", "ReadKernel"]
    assert late.asked.of(Occupy)[0].keys == (KEY, "eth0/IPv4/52")


def test_a_router_of_another_node_is_not_touched_and_it_is_said_whose_it_is() -> None:
    late = Late()
    assert [each.config.name for each in late.machine.instances.values()] == ["VI_2"]
    assert not late.scene.of(Remove)
    (sentence,) = [
        effect.text for effect in late.scene if isinstance(effect, Log) and effect.level == "error"
    ]
    assert sentence == (
        "VI_1 is left out: process 4711 of another node on this host has virtual router 51 on eth0 already; "
        "stop that node, or give one of the two another virtual_router_id or interface"
    )
    report = late.scene.of(Report)[-1]
    assert report.status is Status.DEGRADED
    assert report.detail.startswith(sentence)
    assert Withdraw("state/vrrp/instance/VI_1") in late.scene
    scene = late.pass_time(20, (KEY, 4711))
    assert {effect.instance for effect in scene.of(Advertise)} == {"eth0/IPv4/52"}
    assert not [effect for effect in scene if isinstance(effect, Log) and "left out" in effect.text]


def test_what_this_node_held_once_stays_the_others() -> None:
    before = Router()
    before.become_master()
    late = Late(memory_of(before, sent=-0.5, lease_end=0.5))
    assert not late.scene.of(Remove, Install)
    assert "advert" not in on_wire(late.scene)


def test_it_begins_when_the_other_node_has_gone() -> None:
    late = Late()
    late.pass_time(5, (KEY, 4711))
    scene = late.pass_time(10)
    one = late.machine.instances[KEY]
    assert one.state is VrrpState.MASTER
    assert scene.of(Report)[-1].status is Status.READY
    assert not late.pass_time(20).of(Occupy), "there is nothing left to ask for"


def test_a_reload_that_brings_a_taken_router_leaves_it_again_at_once() -> None:
    router = Router()
    scene = router.reload(1, config(), SECOND)
    assert scene.of(Occupy)[-1].keys == (KEY, "eth0/IPv4/52")
    scene = router.at(1.001, Occupied((("eth0/IPv4/52", 0),)))
    assert list(router.machine.instances) == [KEY]
    assert any("another process of another node" in each.text for each in scene.of(Log))
    assert not scene.of(Advertise)
