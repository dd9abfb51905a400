"""startup_script and shutdown_script: what the parent of a node runs before its services start and after
they have ended (features 2, 11). It waits for them, but no longer than their limit; how they end changes
nothing but what is said."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from keepbus.config.model.configuration import GlobalDefs
from keepbus.config.model.scripts import Script
from keepbus.runtime import generation
from keepbus.runtime.scripts import identity, security
from keepbus.runtime.scripts.processes import environment

_UMASK = 0o022
Say = Callable[[str], object]


def before_services(defs: GlobalDefs, say: Say) -> None:
    """Run startup_script, if there is one."""
    if defs.startup_script is not None:
        _run("startup_script", defs.startup_script, defs.startup_script_timeout_s, defs, say)


def after_services(run_dir: Path, say: Say) -> None:
    """Run shutdown_script of the configuration that the node had last, if there is one."""
    try:
        _, defs = generation.load(run_dir, "global_defs", GlobalDefs)
    except generation.NoConfigurationError as error:
        say(f"whether there is a shutdown_script cannot be read: {error}")
        return
    if defs.shutdown_script is not None:
        _run("shutdown_script", defs.shutdown_script, defs.shutdown_script_timeout_s, defs, say)


def _run(keyword: str, script: Script, limit_s: int, defs: GlobalDefs, say: Say) -> None:
    user, group = script.user, script.group
    if not user:
        user, _, group = defs.script_user.partition(":")
    try:
        who = identity.resolve(user, group)
        executable = security.examine(script.argv[0], who, security=defs.enable_script_security)
    except identity.Refused as reason:
        say(f"{keyword} is not run: {reason}")
        return
    for warning in executable.warnings:
        say(f"{keyword}: {warning}")
    argv = (executable.path, *script.argv[1:])
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env=environment(os.environ),
            user=who.uid if who.switch else None,
            group=who.gid if who.switch else None,
            extra_groups=who.groups if who.switch else None,
            start_new_session=True,
            umask=_UMASK,
        )
    except (OSError, subprocess.SubprocessError) as error:
        say(f"{keyword} could not be started: {error}")
        return
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        say(f"{keyword} was ended: it took more than {limit_s} s")
        return
    if status:
        say(f"{keyword} failed with {f'signal {-status}' if status < 0 else f'status {status}'}")
