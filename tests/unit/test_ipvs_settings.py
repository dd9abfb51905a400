"""The sync daemon, the time-outs and the flushing of the table (V20 to V22; keepalived-features 12.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ipvs_play import SECOND, Play, real, virtual
from keepbus_ipvs.settings import Act, Adjustment, Daemon
from keepbus_ipvs.table import AF_INET, TCP, Entry, Service, ServiceKey

from keepbus.config.model.ipvs import SyncDaemon, Timeouts
from keepbus.contracts import ipvs as contract
from keepbus.contracts.common import Status
from keepbus.contracts.vrrp import Instance, VrrpState

PAIR = virtual(real("172.16.1.3"), real("172.16.1.4"))
FOREIGN = Entry(Service(ServiceKey(AF_INET, TCP, "203.0.113.7", 443), "rr"), {})
FOLLOWS = SyncDaemon(interface="eth0", instance="VI_1", id=51)
BOTH = SyncDaemon(interface="eth0", id=3, ttl=4)
MASTER, BACKUP = Daemon(1, "eth0", 51), Daemon(2, "eth0", 51)


def instance(state: VrrpState, name: str = "VI_1") -> Instance:
    return Instance(
        name=name, interface="eth0", family="IPv4", virtual_router_id=51, version=2, life="1", state=state,
        transitions=1, since_ns=1, cause="", base_priority=100, effective_priority=100,
        advert_interval_us=1, master_down_interval_us=3, master_address="", master_priority=0,
        virtual_addresses=(), holds_addresses=state is VrrpState.MASTER, lease_us=0,
    )  # fmt: skip


def started(**settings: object) -> Play:
    play = Play()
    play.configure(PAIR, **settings)
    return play


class TestSyncDaemon:
    def test_it_is_master_with_the_instance_and_backup_otherwise(self) -> None:
        play = started(sync_daemon=FOLLOWS)
        assert play.adjusted == []
        play.hear(instance(VrrpState.BACKUP), "vrrp")
        play.hear(instance(VrrpState.MASTER), "vrrp")
        play.hear(instance(VrrpState.MASTER, "other"), "vrrp")
        play.hear(instance(VrrpState.FAULT), "vrrp")
        assert play.adjusted == [
            Adjustment(Act.START, BACKUP),
            Adjustment(Act.STOP, BACKUP),
            Adjustment(Act.START, MASTER),
            Adjustment(Act.STOP, MASTER),
            Adjustment(Act.START, BACKUP),
        ]
        state = play.told(contract.SyncDaemon)[-1]
        assert (state.wanted, state.running, state.instance, state.error) == ("backup", "backup", "VI_1", "")

    def test_without_an_instance_it_is_both_v21(self) -> None:
        play = started(sync_daemon=BOTH)
        assert set(play.daemons) == {1, 2}
        assert play.told(contract.SyncDaemon)[-1].running == "master and backup"

    def test_stop_ends_it_and_keeping_the_table_keeps_it(self) -> None:
        play = started(sync_daemon=BOTH)
        play.stop()
        assert play.daemons == {}
        assert play.memory.sync_daemon is False
        keeping = Play(keep_table=True)
        keeping.configure(PAIR, sync_daemon=BOTH)
        keeping.stop()
        assert set(keeping.daemons) == {1, 2}

    def test_restart_changes_nothing(self) -> None:
        first = started(sync_daemon=FOLLOWS)
        first.hear(instance(VrrpState.MASTER), "vrrp")
        second = Play(table=first.table)
        second.memory, second.daemons = first.memory, first.daemons
        second.configure(PAIR, sync_daemon=FOLLOWS)
        second.wait(10)
        second.hear(instance(VrrpState.MASTER), "vrrp")
        second.wait(10)
        assert second.adjusted == []

    def test_what_somebody_else_stopped_is_started_again(self) -> None:
        play = started(sync_daemon=BOTH)
        del play.daemons[1]
        play.wait(4)
        assert set(play.daemons) == {1, 2}

    def test_reload_without_it_ends_only_what_is_ours(self) -> None:
        play = started(sync_daemon=BOTH)
        play.configure(PAIR)
        assert play.daemons == {}
        stranger = Play()
        stranger.daemons = {1: MASTER}
        stranger.configure(PAIR)
        stranger.wait(10)
        assert stranger.daemons == {1: MASTER}

    def test_reload_to_another_interface_moves_it(self) -> None:
        play = started(sync_daemon=BOTH)
        play.configure(PAIR, sync_daemon=replace(BOTH, interface="eth1"))
        assert {daemon.interface for daemon in play.daemons.values()} == {"eth1"}

    def test_refusal_is_degraded_told_once_and_tried_again(self) -> None:
        play = Play()
        play.settings_error = "there is no interface eth0 for lvs_sync_daemon"
        play.configure(PAIR, sync_daemon=BOTH)
        play.wait(5)
        assert play.status is not None
        assert (play.status.status, play.status.detail) == (Status.DEGRADED, play.settings_error)
        assert play.told(contract.SyncDaemon)[-1].error == play.settings_error
        # The virtual servers don't wait for it.
        assert len(play.table) == 1
        play.settings_error = ""
        play.wait(1)
        assert set(play.daemons) == {1, 2}
        assert play.status.status is Status.READY

    def test_it_runs_without_any_virtual_server(self) -> None:
        play = Play()
        play.configure(sync_daemon=BOTH)
        assert set(play.daemons) == {1, 2}


class TestTimeouts:
    def test_they_are_set_and_at_a_stop_what_was_there_is_put_back(self) -> None:
        play = started(timeouts=Timeouts(tcp_s=60, udp_s=5))
        assert play.timeouts == (60, 120, 5)
        assert play.memory.timeouts == (900, 120, 300)
        play.stop()
        assert play.timeouts == (900, 120, 300)
        assert play.memory.timeouts is None

    def test_a_crash_does_not_take_the_changed_ones_for_the_original(self) -> None:
        first = started(timeouts=Timeouts(tcp_s=60))
        second = Play(table=first.table)
        second.memory, second.timeouts = first.memory, first.timeouts
        second.configure(PAIR, timeouts=Timeouts(tcp_s=60))
        second.wait(10)
        second.stop()
        assert second.timeouts == (900, 120, 300)

    def test_reload_without_them_puts_them_back_and_somebody_elses_change_is_undone(self) -> None:
        play = started(timeouts=Timeouts(tcp_s=60))
        play.timeouts = (1, 2, 3)
        play.wait(4)
        assert play.timeouts == (60, 120, 300)
        play.configure(PAIR)
        assert play.timeouts == (900, 120, 300)

    def test_without_them_nothing_is_read_or_written(self) -> None:
        play = started()
        play.timeouts = (1, 2, 3)
        play.wait(30)
        assert play.timeouts == (1, 2, 3)


class TestFlush:
    def test_a_first_start_takes_out_whatever_is_there_and_edits_its_own_in_place(self) -> None:
        before = started()
        table = {**before.table, FOREIGN.service.key: FOREIGN}
        play = Play(table=table)
        play.configure(PAIR, flush=True)
        assert play.take() == ["-D -t 203.0.113.7:443"]

    def test_a_restart_does_not(self) -> None:
        first = started(flush=True)
        first.table[FOREIGN.service.key] = FOREIGN
        second = Play(table=first.table)
        second.memory = first.memory
        second.configure(PAIR, flush=True)
        second.wait(10)
        assert FOREIGN.service.key in second.table

    @pytest.mark.parametrize("whole", [True, False])
    def test_on_stop_the_whole_table_goes_if_that_is_asked(self, whole: bool) -> None:
        play = started(flush_on_stop=whole)
        play.table[FOREIGN.service.key] = FOREIGN
        play.wait(2)
        play.stop()
        assert (FOREIGN.service.key in play.table) is not whole
        assert PAIR.name not in str(play.table)

    def test_stop_does_not_take_long(self) -> None:
        play = started(flush_on_stop=True, sync_daemon=BOTH, timeouts=Timeouts(udp_s=9))
        began_ns = play.now_ns
        play.stop()
        assert play.now_ns - began_ns < SECOND
        assert (play.daemons, play.timeouts, play.table) == ({}, (900, 120, 300), {})
