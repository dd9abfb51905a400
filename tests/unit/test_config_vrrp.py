"""What becomes of `vrrp_instance` (features 5.1, 6; conformance F4, S10, A2, A6, E4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import (
    INSTANCE,
    codes,
    compile_text,
    find,
    instance,
    is_error,
    only_instance,
    told,
    underlined,
)

from keepbus.config.model.scripts import Script
from keepbus.config.model.vrrp import GratuitousArp, InitialState

BARE = (
    "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.1\n }\n@\n}"
)


def bare(folder: Path, extra: str = "") -> object:
    return only_instance(compile_text(folder, BARE.replace("@", extra)))


def test_a_good_instance_is_clean(tmp_path: Path) -> None:
    compiled = instance(tmp_path)
    assert compiled.diagnostics == ()
    assert compiled.exit_status == 0


# Features 5.1, base priority and initial wish.
@pytest.mark.parametrize(
    ("lines", "priority", "state"),
    [
        ("", 100, InitialState.BACKUP),
        ("state MASTER", 255, InitialState.MASTER),
        ("state BACKUP", 100, InitialState.BACKUP),
        ("priority 255", 255, InitialState.MASTER),
        ("priority 255\nstate BACKUP", 255, InitialState.BACKUP),
        ("priority 7\nstate MASTER", 7, InitialState.MASTER),
    ],
)
def test_priority_and_state(tmp_path: Path, lines: str, priority: int, state: InitialState) -> None:
    found = only_instance(compile_text(tmp_path, BARE.replace("@", lines)))
    assert (found.priority, found.state) == (priority, state)


@pytest.mark.parametrize(
    ("line", "column", "word"),
    [
        ("virtual_router_id 0", 19, "0"),
        ("virtual_router_id 256", 19, "256"),
        ("priority 0", 10, "0"),
        ("priority 256", 10, "256"),
        ("priority high", 10, "high"),
        ("priority", 1, "priority"),
        ("state SLAVE", 7, "SLAVE"),
        ("version 4", 9, "4"),
        ("advert_int 0.001", 12, "0.001"),
        ("advert_int 256", 12, "256"),
        ("advert_int 1s", 12, "1s"),
        ("preempt_delay 1001", 15, "1001"),
        ("down_timer_adverts 101", 20, "101"),
        ("mcast_src_ip 192.0.2.300", 14, "192.0.2.300"),
        ("mcast_src_ip fe80::1%eth0", 14, "fe80::1%eth0"),
        ("mcast_dst_ip 192.0.2.1", 14, "192.0.2.1"),
        ("interface a/b", 11, "a/b"),
        ("interface sixteen-letters-", 11, "sixteen-letters-"),
    ],
)
def test_a_bad_value_is_an_error_at_its_word(tmp_path: Path, line: str, column: int, word: str) -> None:
    compiled = compile_text(tmp_path, f"vrrp_instance V {{\n{line}\n}}")
    finding = next(found for found in compiled.diagnostics if found.place.line == 2)
    assert finding.code in ("bad-value", "missing-argument")
    assert (finding.severity, finding.place.column, underlined(finding)) == ("error", column, word)


def test_advert_interval_in_version_2_is_whole_seconds(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "advert_int 0.5")
    assert is_error(compiled, "fractional-interval")
    # As keepalived rounds it.
    assert (
        only_instance(instance(tmp_path, "advert_int 0.5", permissive=True)).advert_interval_us == 1_000_000
    )
    assert only_instance(instance(tmp_path, "advert_int 255")).advert_interval_us == 255_000_000


@pytest.mark.parametrize(
    ("text", "interval_us", "found"),
    [
        ("0.01", 10_000, []),
        ("0.1", 100_000, []),
        ("40.95", 40_950_000, []),
        ("0.014", 10_000, ["fractional-interval"]),
        ("41", 40_950_000, ["interval-too-long"]),
    ],
)
def test_advert_interval_in_version_3_is_centiseconds(
    tmp_path: Path, text: str, interval_us: int, found: list[str]
) -> None:
    compiled = instance(tmp_path, f"version 3\nadvert_int {text}", permissive=True)
    assert only_instance(compiled).advert_interval_us == interval_us
    assert codes(compiled) == found


def test_version_of_the_instance_and_of_the_node(tmp_path: Path) -> None:
    before = "global_defs {\nvrrp_version 3\n}"
    assert only_instance(instance(tmp_path)).version == 2
    assert only_instance(instance(tmp_path, before=before)).version == 3
    assert only_instance(instance(tmp_path, "version 2", before=before)).version == 2


@pytest.mark.parametrize("line", ["nopreempt", "preempt_delay 3"])
def test_e4_preempt_off_or_delayed_with_state_master_is_an_error(tmp_path: Path, line: str) -> None:
    text = BARE.replace("@", f"state MASTER\npriority 9\n{line}")
    assert compile_text(tmp_path, text).exit_status == 2
    found = only_instance(compile_text(tmp_path, text, permissive=True))
    assert (found.nopreempt, found.preempt_delay_us) == (False, 0)


def test_nopreempt(tmp_path: Path) -> None:
    assert only_instance(instance(tmp_path, "nopreempt")).nopreempt
    assert not only_instance(instance(tmp_path, "nopreempt\npreempt")).nopreempt
    assert only_instance(instance(tmp_path, "preempt\nnopreempt")).nopreempt
    assert only_instance(instance(tmp_path, "preempt_delay 1.5")).preempt_delay_us == 1_500_000
    both = instance(tmp_path, "nopreempt\npreempt_delay 5")
    assert codes(both) == ["preempt-delay-nopreempt"]
    assert only_instance(both).preempt_delay_us == 0
    assert told(compile_text(tmp_path, BARE.replace("@", "priority 255\nstate BACKUP\nnopreempt"))) == [
        "error nopreempt-master 9:1"
    ]


class TestAuthentication:
    BLOCK = "authentication {\n auth_type PASS\n auth_pass hunter2hunter2\n}"

    def test_a2_only_8_octets_of_the_password_are_used(self, tmp_path: Path) -> None:
        compiled = instance(tmp_path, self.BLOCK)
        finding = find(compiled, "password-too-long")
        assert finding.severity == "warning"
        assert underlined(finding) == "*" * 14
        assert "hunter2" not in repr(compiled)
        found = only_instance(compiled).authentication
        assert found is not None
        assert found.auth_pass == "hunter2hunter2"

    def test_octets_are_counted_not_characters(self, tmp_path: Path) -> None:
        compiled = instance(tmp_path, self.BLOCK.replace("hunter2hunter2", "密码密"))
        assert codes(compiled) == ["password-too-long"]

    def test_a6_version_3_has_none(self, tmp_path: Path) -> None:
        assert is_error(instance(tmp_path, f"version 3\n{self.BLOCK}"), "authentication-version-3")
        permitted = instance(tmp_path, f"version 3\n{self.BLOCK}", permissive=True)
        assert only_instance(permitted).authentication is None

    @pytest.mark.parametrize("line", [" auth_type PASS\n", " auth_pass hunter2hunter2\n"])
    def test_half_a_block(self, tmp_path: Path, line: str) -> None:
        assert is_error(instance(tmp_path, self.BLOCK.replace(line, "")), "missing-password")


class TestTwoInstances:
    def both(self, tmp_path: Path, change: tuple[str, str], permissive: bool = False) -> list[str]:
        second = INSTANCE.replace("VI_1", "VI_2").replace("192.0.2.1", "192.0.2.2").replace(*change)
        return told(compile_text(tmp_path, (INSTANCE + second).replace("@", ""), permissive=permissive))

    def test_s10_the_same_id_on_the_same_interface_is_an_error_even_permissively(
        self, tmp_path: Path
    ) -> None:
        assert self.both(tmp_path, ("", ""), permissive=True) == ["error duplicate-virtual-router-id 14:23"]

    @pytest.mark.parametrize(
        "change",
        [
            ("router_id 51", "router_id 52"),
            ("interface eth0", "interface eth1"),
        ],
    )
    def test_s10_otherwise_they_are_independent(self, tmp_path: Path, change: tuple[str, str]) -> None:
        assert self.both(tmp_path, change) == []

    def test_s10_another_group_does_not_make_them_two(self, tmp_path: Path) -> None:
        change = ("state BACKUP", "mcast_dst_ip 224.0.0.99")
        assert self.both(tmp_path, change) == ["error duplicate-virtual-router-id 14:23"]

    def test_s10_another_family_does(self, tmp_path: Path) -> None:
        second = INSTANCE.replace("VI_1", "VI_2").replace("192.0.2.1/24", "fe80::1/64")
        assert told(compile_text(tmp_path, (INSTANCE + second).replace("@", ""))) == []

    def test_the_same_name(self, tmp_path: Path) -> None:
        assert self.both(tmp_path, ("VI_2", "VI_1")) == ["error duplicate-instance 11:15"]


# Features 4 and 6.2.
@pytest.mark.parametrize(
    ("before", "lines", "garp"),
    [
        ("", "", GratuitousArp()),
        (
            "",
            "garp_master_delay 2\ngarp_master_repeat 3",
            GratuitousArp(
                master_delay_us=2_000_000,
                master_repeat=3,
                lower_prio_delay_us=2_000_000,
                lower_prio_repeat=3,
            ),
        ),
        (
            "vrrp_garp_master_repeat 9\nvrrp_garp_lower_prio_repeat 0",
            "garp_master_repeat 0\ngarp_master_refresh 60",
            GratuitousArp(master_repeat=1, lower_prio_repeat=0, master_refresh_us=60_000_000),
        ),
        (
            "vrrp_min_garp",
            "",
            GratuitousArp(master_delay_us=0, master_repeat=1, lower_prio_delay_us=0, lower_prio_repeat=1),
        ),
        ("vrrp_garp_extra_if all 100", "", GratuitousArp(extra_us=100_000_000, extra_all=True)),
        ("vrrp_garp_extra_if all 100", "garp_extra_if 60", GratuitousArp(extra_us=60_000_000)),
        ("vrrp_vmac_garp_intvl 100", "", GratuitousArp(extra_us=100_000_000)),
        ("vrrp_garp_extra_if 100", "vmac_garp_intvl 0", GratuitousArp()),
    ],
)
def test_gratuitous_arp(tmp_path: Path, before: str, lines: str, garp: GratuitousArp) -> None:
    found = only_instance(instance(tmp_path, lines, before=f"global_defs {{\n{before}\n}}"))
    assert found.garp == garp


def test_defaults_of_the_node(tmp_path: Path) -> None:
    before = """global_defs {
        vrrp_mcast_group4 224.0.0.99
        vrrp_down_timer_adverts 5
        vrrp_lower_prio_no_advert
        vrrp_higher_prio_send_advert yes
        vrrp_skip_check_adv_addr on
        default_interface eth7
    }"""
    found = only_instance(instance(tmp_path, before=before))
    assert (found.mcast_group, found.down_timer_adverts) == ("224.0.0.99", 5)
    assert found.lower_prio_no_advert
    assert found.higher_prio_send_advert
    assert found.skip_check_adv_addr
    own = only_instance(instance(tmp_path, "skip_check_adv_addr no\ndown_timer_adverts 2", before=before))
    assert (own.skip_check_adv_addr, own.down_timer_adverts) == (False, 2)
    text = f"{before}\n{BARE}".replace(" interface eth0\n", "").replace("@", "priority 1")
    assert only_instance(compile_text(tmp_path, text)).interface == "eth7"


def test_an_instance_without_interface(tmp_path: Path) -> None:
    text = BARE.replace(" interface eth0\n", "").replace("@", "priority 1")
    assert is_error(compile_text(tmp_path, text), "missing-interface")
    assert only_instance(compile_text(tmp_path, text, permissive=True)).interface == "eth0"


def test_scripts(tmp_path: Path) -> None:
    compiled = instance(
        tmp_path,
        'notify_master "/x/nt.sh a \'b c\' \\"d e\\" f\\x41\\101\\ g"  root :wheel\n'
        "notify_backup /bin/backup\n"
        "notify_backup /bin/another\n"
        'notify "" root\n',
        before="global_defs {\nscript_user nobody nogroup\nenable_script_security\n}",
    )
    assert codes(compiled) == ["given-twice", "bad-value"]
    assert compiled.configuration is not None
    section = compiled.configuration.notify
    assert section.script_user == "nobody:nogroup"
    assert compiled.configuration.global_defs.enable_script_security
    (target,) = section.targets
    assert target.notify_master == Script(
        argv=("/x/nt.sh", "a", "b c", "d e", "fAA g"), user="root", group=":wheel"
    )
    # Of scripts the first one counts (features 3.8).
    assert target.notify_backup == Script(argv=("/bin/backup",))
    assert target.notify is None


def test_what_is_not_there_yet(tmp_path: Path) -> None:
    finding = find(instance(tmp_path, before="global_defs {\n enable_snmp_vrrp\n}"), "not-supported")
    assert finding.severity == "warning"
    assert "not supported yet" in finding.text
    assert "keepbus status --json" in finding.help


def test_address_lease(tmp_path: Path) -> None:
    def lease(line: str) -> bool:
        compiled = instance(tmp_path, before=f"global_defs {{\n{line}\n}}")
        assert compiled.configuration is not None
        assert compiled.configuration.global_defs.address_lease == compiled.configuration.vrrp.address_lease
        return compiled.configuration.vrrp.address_lease

    assert lease("")
    assert lease("address_lease yes")
    assert not lease("address_lease no")


def test_one_way_yield(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "one_way_yield 30")
    assert compiled.configuration is not None
    assert compiled.configuration.vrrp.instances[0].one_way_yield_us == 30_000_000
