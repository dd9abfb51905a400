"""notify with a real hub and real scripts. Needs no namespace, but root to run scripts as another user."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from notify_stage import PATIENCE_S, Stage, me, staged

from keepbus.config.model.scripts import Script
from keepbus.contracts.common import Service, Status
from keepbus.contracts.notify import Notified
from keepbus.contracts.vrrp import VrrpState

MASTER, BACKUP, FAULT, STOP = VrrpState.MASTER, VrrpState.BACKUP, VrrpState.FAULT, VrrpState.STOP
stage = pytest.fixture(staged)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: nothing was tried about scripts of other users"
)


def own(path: str, *arguments: str) -> Script:
    """A script that runs as the user of the tests."""
    return Script(argv=(path, *arguments), user=me())


def test_scripts_run_in_order_with_their_arguments(stage: Stage) -> None:
    path = stage.script("s", '#!/bin/sh\nsleep 0.0$(($$ % 5))\necho "$0 $*" >> SAID\n')
    stage.configure(
        notify_master=own(path, "master"),
        notify_backup=own(path, "backup"),
        notify=own(path, "any", "two words"),
    )
    stage.notify()
    stage.goes(BACKUP, MASTER, BACKUP)
    runs = stage.runs(6)
    generic = f"{path} any two words INSTANCE VI_1"
    assert stage.lines() == [
        f"{path} backup", f"{generic} BACKUP 150",
        f"{path} master", f"{generic} MASTER 150",
        f"{path} backup", f"{generic} BACKUP 150",
    ]  # fmt: skip
    assert [(run.number, run.script, run.exit_status) for run in runs] == [
        (1, "notify_backup", 0), (1, "notify", 0),
        (2, "notify_master", 0), (2, "notify", 0),
        (3, "notify_backup", 0), (3, "notify", 0),
    ]  # fmt: skip


@needs_root
def test_a_script_runs_as_its_user_in_a_clean_place(stage: Stage) -> None:
    path = stage.script(
        "s",
        "#!/bin/sh\nexec 3>>SAID\n"
        "(id -un; id -Gn; pwd; umask; readlink /proc/$$/fd/0; echo $KEEPBUS_RUN_DIR$LD_PRELOAD) >&3\n"
        "ps -o pgid= -o sid= -p $$ >&3; echo $$ >&3; ls -l /proc/$$/fd >&3\n"
        "echo told > /dev/stderr; exit 3\n",
    )
    stage.configure(notify_master=Script(argv=(path,), user="nobody"))
    stage.notify()
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert (run.user, run.exit_status, run.error) == ("nobody", 3, "told")
    assert "told" in stage.logged()
    user, groups, folder, umask, stdin, environment, group, own_id, *fds = stage.lines()
    assert (user, groups, folder, umask, stdin) == ("nobody", "nogroup", "/", "0022", "/dev/null")
    assert environment == ""
    assert group.split() == [own_id, own_id]
    targets = {line.split(" -> ")[1].split(":")[0] for line in fds if " -> " in line}
    assert targets == {"/dev/null", "pipe", path, str(stage.said)}  # nothing of notify's


def test_killed_and_started_again_it_runs_nothing_twice_and_misses_nothing(stage: Stage) -> None:
    """R-F11."""
    path = stage.script("s", '#!/bin/sh\necho "$*" >> SAID\n[ "$1" = slow ] && sleep 3\nexit 0\n')
    stage.configure(notify_backup=own(path, "slow"), notify_master=own(path, "fast"))
    first = stage.notify()
    stage.goes(BACKUP)
    stage.until(lambda: stage.lines() == ["slow"])
    first.kill()
    first.wait()
    stage.goes(MASTER)
    stage.goes(FAULT)
    stage.goes(MASTER)
    stage.notify()
    runs = stage.runs(2)
    assert stage.lines() == ["slow", "fast", "fast"]
    assert [(run.number, run.late) for run in runs] == [(2, True), (4, True)]


def test_a_restart_with_nothing_new_runs_nothing(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\necho ran >> SAID\n")
    stage.configure(notify=own(path))
    first = stage.notify()
    stage.goes(BACKUP)
    stage.runs(1)
    first.terminate()
    assert first.wait(5) == 0
    stage.messages.clear()
    stage.notify()
    stage.goes(MASTER)  # when this one has run, the first would have, too
    stage.runs(1)
    assert stage.lines() == ["ran", "ran"]


def test_over_its_time_the_whole_group_is_ended(stage: Stage) -> None:
    """R-F80, R-F81: a script that hangs, ignores SIGTERM and has children holds up nobody for ever."""
    hangs = stage.script(
        "hangs", "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; sleep 600) &\necho $! >> SAID\nsleep 600\n"
    )
    good = stage.script("good", "#!/bin/sh\necho good >> SAID\n")
    stage.configure(notify_backup=own(hangs), notify_master=own(good))
    stage.notify("--time-limit", "0.3")
    stage.goes(BACKUP, MASTER)
    runs = stage.runs(2)
    assert [(run.exit_status, run.timed_out) for run in runs] == [(-signal.SIGKILL, True), (0, False)]
    child, said = stage.lines()
    assert said == "good"
    stage.until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _is_zombie(pid: str) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


def test_a_flood_of_output_is_cut_and_does_not_hold_the_script_up(stage: Stage) -> None:
    path = stage.script(
        "s", "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x | fold -w 100\necho end >> SAID\n"
    )
    stage.configure(notify_master=own(path))
    stage.notify()
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert run.exit_status == 0
    assert stage.lines() == ["end"]
    assert "the rest was cut" in stage.logged()
    assert 60_000 < stage.logged().count("x") < 70_000


def test_text_without_an_interpreter_line_goes_to_the_shell(stage: Stage) -> None:
    path = stage.script("s", 'echo "text $*" >> SAID\n')
    stage.configure(notify_master=own(path, "a b", "c'd"))
    stage.notify()
    stage.goes(MASTER)
    assert stage.runs(1)[0].exit_status == 0
    assert stage.lines() == ["text a b c'd"]


def test_what_a_script_leaves_in_the_background_lives_and_is_not_waited_for(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\n(sleep 0.5; echo background; echo alive >> SAID) &\necho done\n")
    stage.configure(notify_master=own(path))
    stage.notify()
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert run.took_us < 500_000 or stage.lines() == []
    stage.until(lambda: stage.lines() == ["alive"])


def test_a_script_that_vanished_is_127_and_the_next_one_runs(stage: Stage) -> None:
    gone = stage.script("gone", "#!/bin/sh\n")
    good = stage.script("good", "#!/bin/sh\necho good >> SAID\n")
    stage.configure(notify_backup=own(gone), notify_master=own(good))
    stage.notify()
    Path(gone).unlink()
    stage.goes(BACKUP, MASTER)
    runs = stage.runs(2)
    assert (runs[0].exit_status, runs[0].user) == (127, "")
    assert "No such file" in runs[0].error
    assert stage.lines() == ["good"]


def test_a_bad_interpreter_is_127(stage: Stage) -> None:
    path = stage.script("s", "#!/no/such/interpreter\n")
    stage.configure(notify_master=own(path))
    stage.notify()
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert run.exit_status == 127
    assert "could not be started" in run.error


def test_missing_scripts_are_told_at_once(stage: Stage) -> None:
    stage.configure(notify_master=own("/no/such/script"))
    stage.notify()
    beat = stage.got(Service)[-1]
    assert beat.status is Status.DEGRADED
    assert "notify_master of VI_1 will not run: /no/such/script cannot be run: No such file" in beat.detail


@needs_root
def test_security_is_looked_at_again_before_the_start(stage: Stage) -> None:
    """R-F82: refused at load and again at run."""
    path = stage.script("s", "#!/bin/sh\necho ran >> SAID\n")
    stage.configure(security=True, notify_master=Script(argv=(path,), user="root"))
    stage.notify()
    assert stage.got(Service)[-1].status is Status.READY
    Path(path).chmod(0o757)
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert run.exit_status == 127
    assert "root would run" in run.error
    assert stage.lines() == []


def test_a_reload_takes_the_new_scripts(stage: Stage) -> None:
    path = stage.script("s", '#!/bin/sh\necho "$1" >> SAID\n')
    stage.configure(notify_master=own(path, "old"))
    process = stage.notify()
    stage.goes(MASTER)
    stage.runs(1)
    stage.configure(notify_master=own(path, "new"), notify_backup=own(path, "added"))
    process.send_signal(signal.SIGHUP)
    stage.until(lambda: stage.got(Service)[-1].generation == 2)
    stage.goes(BACKUP, MASTER)
    stage.runs(3)
    assert stage.lines() == ["old", "added", "new"]


def test_the_last_transition_is_notified_although_the_node_stops(stage: Stage) -> None:
    path = stage.script("s", '#!/bin/sh\nsleep 0.2\necho "$1" >> SAID\n')
    stage.configure(notify_master=own(path, "master"), notify_stop=own(path, "stop"))
    process = stage.notify()
    stage.goes(MASTER)
    stage.runs(1)
    began = time.monotonic()
    process.terminate()
    stage.goes(STOP)
    assert process.wait(PATIENCE_S) == 0
    assert time.monotonic() - began < 5
    assert stage.lines() == ["master", "stop"]


def test_a_script_that_hangs_does_not_keep_the_node_from_stopping(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\ntrap '' TERM\necho began >> SAID\nsleep 600\n")
    stage.configure(notify_master=own(path))
    process = stage.notify()
    stage.goes(MASTER)
    stage.until(lambda: stage.lines() == ["began"])
    began = time.monotonic()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert 1 < time.monotonic() - began < 5


@needs_root
def test_notify_holds_little_but_takes_nothing_from_its_scripts(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\ngrep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status >> SAID\n")
    stage.configure(
        notify_backup=Script(argv=(path,), user="root"), notify_master=Script(argv=(path,), user="nobody")
    )
    process = stage.notify()
    ours = _status("self")
    held = _status(str(process.pid))
    setuid, setgid, kill = 1 << 7, 1 << 6, 1 << 5  # linux/capability.h
    assert int(held["CapEff"], 16) == int(held["CapPrm"], 16) == setuid | setgid | kill
    stage.goes(BACKUP, MASTER)
    stage.runs(2)
    words = [line.split()[1] for line in stage.lines()]
    assert words == [
        ours["CapBnd"], ours["CapBnd"], ours["NoNewPrivs"],
        "0" * 16, ours["CapBnd"], ours["NoNewPrivs"],
    ]  # fmt: skip


def _status(pid: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@needs_root
def test_in_a_user_namespace_of_one_scripts_run_as_that_one(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\nid -u >> SAID\n")
    stage.configure(notify_master=Script(argv=(path,), user="nobody"), notify_backup=Script(argv=(path,)))
    stage.notify(before=("unshare", "-Ur"))
    assert "one user only" in stage.logged()
    stage.goes(BACKUP, MASTER)
    assert [run.exit_status for run in stage.runs(2)] == [0, 0]
    assert stage.lines() == ["0", "0"]


@needs_root
def test_root_is_never_taken_by_itself(stage: Stage) -> None:
    if subprocess.run(["id", "keepalived_script"], capture_output=True, check=False).returncode == 0:
        pytest.skip("this system has the user keepalived_script: the refusal of root was not tried")
    path = stage.script("s", "#!/bin/sh\necho ran >> SAID\n")
    stage.configure(notify_master=Script(argv=(path,)))
    stage.notify()
    stage.goes(MASTER)
    (run,) = stage.runs(1)
    assert run.exit_status == 127
    assert "script_user" in run.error
    assert stage.lines() == []


def test_a_ledger_that_cannot_be_written_is_told_and_scripts_still_run(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\necho ran >> SAID\n")
    stage.configure(notify_master=own(path))
    (stage.run_dir / "notify").write_text("in the way")
    stage.notify()
    beat = stage.got(Service)[-1]
    assert beat.status is Status.DEGRADED
    assert "ledger" in beat.detail
    stage.goes(MASTER)
    assert stage.runs(1)[0].exit_status == 0


def test_nobody_on_the_bus_sees_more_than_one_state_per_change(stage: Stage) -> None:
    path = stage.script("s", "#!/bin/sh\n")
    stage.configure(notify_master=own(path))
    stage.notify()
    stage.goes(MASTER)
    stage.runs(1)
    stage.until(lambda: stage.got(Notified) and stage.got(Notified)[-1].last_exit == 0)
    assert [(body.runs, body.last_exit) for body in stage.got(Notified)] == [(1, None), (1, 0)]
