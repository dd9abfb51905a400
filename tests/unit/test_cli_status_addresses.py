"""`keepbus status` of addresses that others claim and that the kernel does not let go."""

from __future__ import annotations

from test_cli_status import INSTANCE, NOW_NS, WELL, S, change, node, text

from keepbus.contracts import vrrp

CLAIM = vrrp.Claim(
    address="10.0.0.99", mac="02:00:00:00:aa:01", interface="eth0",
    since_ns=NOW_NS - 90 * S, last_ns=NOW_NS - 3 * S, times=12,
)  # fmt: skip


def test_who_claims_an_address_is_shown_with_since_when_and_how_often() -> None:
    shown = node(*WELL, ("vrrp", change(INSTANCE, claims=(CLAIM,))))
    page = text(shown)
    assert "    10.0.0.99 is claimed by 02:00:00:00:aa:01 on eth0: 12 times since " in page
    assert ", 3.0 s ago at last\n" in page
    assert shown.problems() == ["VI_1: another host (02:00:00:00:aa:01) says that it has 10.0.0.99, too"]


def test_an_address_that_the_kernel_keeps_is_a_problem() -> None:
    backup = change(
        INSTANCE,
        state=vrrp.VrrpState.BACKUP,
        holds_addresses=False,
        kept=("10.0.0.99: Operation not permitted",),
    )
    assert node(*WELL, ("vrrp", backup)).problems() == [
        "VI_1 is BACKUP and still has 10.0.0.99: Operation not permitted"
    ]
