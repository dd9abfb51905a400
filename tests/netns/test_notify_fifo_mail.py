"""notify's FIFOs, mail and scripts of servers: a real hub, real FIFOs, a real SMTP conversation (R-F83)."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import time

import pytest
from notify_stage import Stage, me, staged
from smtp_server import SmtpServer

from keepbus.config.model.notify import Fifo, Mail, NotifyKind, NotifyTarget
from keepbus.config.model.scripts import Script
from keepbus.contracts import ipvs
from keepbus.contracts.checker import Verdict
from keepbus.contracts.notify import Fifo as FifoState
from keepbus.contracts.notify import Mail as MailState
from keepbus.contracts.notify import ScriptRun
from keepbus.contracts.vrrp import VrrpState

MASTER, BACKUP, FAULT = VrrpState.MASTER, VrrpState.BACKUP, VrrpState.FAULT
NAME = "[192.0.2.1]:tcp:80"
stage = pytest.fixture(staged)


def serves(stage: Stage, *, alive: bool, changes: int) -> None:
    """ipvs says what became of the one server behind the one virtual server."""
    real = ipvs.RealServer(
        address="10.0.0.1:80", configured_weight=1, weight=1, verdict=Verdict.UP, in_table=alive,
        since_ns=time.time_ns(), checks=("c",), alive=alive, changes=changes,
        reason="TCP_CHECK 10.0.0.1:80 is down: connect: refused",
    )  # fmt: skip
    stage.ipvs.publish(
        ipvs.VirtualServer(
            name=NAME, address="192.0.2.1:80", protocol="TCP", scheduler="rr", forwarding="NAT",
            persistence_timeout_s=0, quorum=1, quorum_up=alive, weight_up=int(alive), changes=changes,
            since_ns=time.time_ns(), sorry_server="", sorry_server_active=False, real_servers=(real,),
            life="L1",
        )
    )  # fmt: skip


def test_a_fifo_is_made_read_by_its_script_and_removed(stage: Stage) -> None:
    path = str(stage.run_dir / "events.fifo")
    reader = stage.script("reader", '#!/bin/sh\nwhile read -r line; do echo "$line" >> SAID; done < "$1"\n')
    fifo = Fifo(
        keyword="notify_fifo", path=path, vrrp=True, lvs=True, script=Script(argv=(reader,), user=me())
    )
    stage.configure(fifos=(fifo,))
    process = stage.notify()
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    stage.goes(BACKUP, MASTER)
    stage.until(lambda: len(stage.lines()) >= 2)
    serves(stage, alive=True, changes=0)
    serves(stage, alive=False, changes=1)
    stage.until(lambda: len(stage.lines()) >= 4)
    # The NUL octet behind a newline stands before the next line for a shell, which leaves it out.
    assert stage.lines() == [
        'INSTANCE "VI_1" BACKUP 150',
        'INSTANCE "VI_1" MASTER 150',
        f"RS [10.0.0.1]:tcp:80 {NAME} DOWN",
        f"VS {NAME} DOWN",
    ]
    process.terminate()
    process.wait(5)
    assert not os.path.exists(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nothing was tried about FIFOs of other users")
def test_a_fifo_for_another_user_is_in_his_group(stage: Stage) -> None:
    path = stage.run_dir / "theirs.fifo"
    fifo = Fifo(keyword="vrrp_notify_fifo", path=str(path), user="nobody", vrrp=True, lvs=False)
    stage.configure(fifos=(fifo,))
    # notify itself gives up all capabilities but SETUID, SETGID and KILL.
    stage.notify()
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert (status.st_uid, status.st_gid) == (os.geteuid(), pwd.getpwnam("nobody").pw_gid)


def test_a_fifo_that_nobody_reads_holds_nobody_up_and_its_losses_are_counted(stage: Stage) -> None:
    path = stage.run_dir / "full.fifo"
    os.mkfifo(path, 0o600)
    keeper = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(keeper, b"x" * 4096)
    except BlockingIOError:
        pass
    script = stage.script("s", '#!/bin/sh\necho "$*" >> SAID\n')
    fifo = Fifo(keyword="vrrp_notify_fifo", path=str(path), vrrp=True, lvs=False)
    stage.configure(fifos=(fifo,), notify=Script(argv=(script,), user=me()))
    stage.notify()
    stage.goes(BACKUP, MASTER)
    stage.runs(2)
    stage.until(lambda: any(state.lost == 2 for state in stage.got(FifoState)))
    os.close(keeper)
    assert path.exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_fifo_is_not_written(stage: Stage, kind: str) -> None:
    path = stage.run_dir / "precious"
    path.write_text("mine")
    if kind == "link":
        link = stage.run_dir / "link"
        os.mkfifo(stage.run_dir / "other", 0o600)
        link.symlink_to(stage.run_dir / "other")
        path = link
    stage.configure(fifos=(Fifo(keyword="vrrp_notify_fifo", path=str(path), vrrp=True, lvs=False),))
    stage.notify()
    stage.goes(BACKUP)
    stage.until(lambda: any("cannot be used" in state.error for state in stage.got(FifoState)))
    assert (stage.run_dir / "precious").read_text() == "mine"


def test_scripts_of_servers_run(stage: Stage) -> None:
    script = stage.script("s", '#!/bin/sh\necho "$*" >> SAID\n')
    stage.configure(
        NotifyTarget(
            kind=NotifyKind.REAL_SERVER,
            name=f"[10.0.0.1]:tcp:80 {NAME}",
            notify_up=Script(argv=(script, "up"), user=me()),
            notify_down=Script(argv=(script, "down"), user=me()),
        ),
        NotifyTarget(
            kind=NotifyKind.VIRTUAL_SERVER,
            name=NAME,
            quorum_down=Script(argv=(script, "quorum down"), user=me()),
        ),
    )
    stage.notify()
    serves(stage, alive=True, changes=0)
    serves(stage, alive=False, changes=1)
    stage.until(lambda: len(stage.got(ScriptRun)) == 2)
    serves(stage, alive=True, changes=2)
    stage.until(lambda: len(stage.got(ScriptRun)) == 3)
    assert sorted(stage.lines()) == ["down", "quorum down", "up"]


def mail(server: SmtpServer) -> Mail:
    return Mail(
        server="127.0.0.1", port=server.port, recipients=("Ops <ops@example>", "root@example"),
        sender="lb@example", helo_name="lb1.example", router_id="lb1", instances=True, timeout_us=1_000_000,
    )  # fmt: skip


def test_a_mail_is_sent_as_keepalived_does(stage: Stage) -> None:
    server = SmtpServer()
    try:
        stage.configure(mail=mail(server))
        stage.notify()
        stage.goes(MASTER)
        stage.until(lambda: any(state.sent == 1 for state in stage.got(MailState)))
    finally:
        server.close()
    assert server.conversations == [
        [
            "helo lb1.example",
            "mail FROM:<lb@example>",
            "rcpt TO:<ops@example>",
            "rcpt TO:<root@example>",
            "data",
            "QUIT",
        ]
    ]
    lines = server.messages[0].split("\r\n")
    assert lines[1:5] == [
        "From: lb@example",
        "Subject: [lb1] VRRP Instance VI_1 - Entering MASTER state",
        "X-Mailer: keepbus",
        "To: Ops <ops@example>, root@example",
    ]
    assert lines[6] == "=> VRRP Instance is now owning VRRP VIPs <="


def test_rf83_refused_for_good_then_silent_then_taken_and_scripts_wait_for_none_of_it(stage: Stage) -> None:
    server = SmtpServer("refuses", "silent")
    script = stage.script("s", '#!/bin/sh\necho "$*" >> SAID\n')
    try:
        stage.configure(mail=mail(server), notify=Script(argv=(script,), user=me()))
        stage.notify()
        stage.goes(BACKUP, MASTER)
        stage.until(lambda: len(stage.lines()) == 2)
        assert server.messages == []
        stage.until(lambda: any(state.sent == 1 for state in stage.got(MailState)))
    finally:
        server.close()
    last = stage.got(MailState)[-1]
    assert (last.waiting, last.sent, last.lost, last.last_error) == (0, 1, 1, "")
    assert "Entering MASTER state" in server.messages[0]
    errors = [state.last_error for state in stage.got(MailState) if state.last_error]
    assert errors[0] == "127.0.0.1 answers 550 no such user"
    assert errors[-1].endswith("timed out")


@pytest.mark.parametrize(
    ("mood", "status", "said"),
    [
        ("good", 0, ""),
        ("busy", 1, "answers 421 too busy"),
        ("refuses", 2, "answers 550 no such user"),
        ("drops", 1, "unexpectedly closed"),
        ("silent", 1, "timed out"),
        ("absent", 1, "Connection refused"),
    ],
)
def test_rf83_what_a_server_does_is_told_in_a_sentence(mood: str, status: int, said: str) -> None:
    server = SmtpServer(mood)
    if mood == "absent":
        server.close()
        time.sleep(0.05)
    letter = {
        "server": "127.0.0.1", "port": server.port, "recipients": ["a@example"], "sender": "b@example",
        "helo": "c.example", "timeout_s": 1, "subject": "s", "body": "one\n.\ntwo",
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "keepbus_notify.mailer"],
        input=json.dumps(letter),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    server.close()
    assert (ended.returncode, ended.stderr) == (status, "")
    assert said in ended.stdout
    if mood == "good":
        assert server.messages[0].endswith("\r\n\r\none\r\n..\r\ntwo\r\n")
