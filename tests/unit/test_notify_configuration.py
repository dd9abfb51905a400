"""From the text of a configuration to what notify is to run."""

from __future__ import annotations

from pathlib import Path

from config_text import compile_text
from keepbus_notify.effects import Command
from keepbus_notify.plan import commands

TEXT = """\
global_defs {
    script_user alice staff
    enable_script_security
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.1/24
    }
    notify_master "/etc/keepalived/master one 'two words'"
    notify_stop /etc/keepalived/stop bob
    notify /etc/keepalived/any
}
"""


def test_scripts_users_and_security_arrive(tmp_path: Path) -> None:
    configuration = compile_text(tmp_path, TEXT).configuration
    assert configuration is not None
    assert list(commands(configuration.notify)) == [
        (
            "notify_master of VI_1",
            Command(("/etc/keepalived/master", "one", "two words"), "alice", "staff", security=True),
        ),
        ("notify_stop of VI_1", Command(("/etc/keepalived/stop",), "bob", "", security=True)),
        ("notify of VI_1", Command(("/etc/keepalived/any",), "alice", "staff", security=True)),
    ]
