"""Starting scripts, their output, their end.

A script gets the null device to read from and a pipe for what it says; the loop learns of its end through a
pidfd. Nothing here waits. What a script leaves running in the background keeps the pipe, which is read and
thrown away until its last holder closes it, so that nobody is stopped by a full pipe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keepbus.runtime.loop import Loop
from keepbus_notify.events import ScriptEnded
from keepbus_notify.identity import Identity

MOST_OUTPUT_OCTETS = 64 * 1024
"""Of what a script says, this much is kept."""
CANNOT_START = 127
_READ_OCTETS = 65_536
_LAST_LINE_CHARACTERS = 200
_UMASK = 0o022
# What steers the loader or a shell, and what is the node's own.
_DROPPED = frozenset({"IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS"})
_DROPPED_PREFIXES = ("LD_", "SUPERVISOR_", "KEEPBUS_", "BASH_FUNC_")


@dataclass(slots=True)
class _Script:
    run: int
    process: subprocess.Popen[bytes]
    user: str
    pidfd: int
    pipe: int
    started_ns: int
    started_at_ns: int
    output: bytearray = field(default_factory=bytearray)
    cut: bool = False
    ended: bool = False


class Processes:
    """The scripts that run."""

    def __init__(self, loop: Loop, said: Callable[[int, str], None]) -> None:
        """said: is given the run and its output when a script has ended."""
        self._loop = loop
        self._said = said
        self._scripts: dict[int, _Script] = {}
        self._environment = environment(os.environ)

    def start(self, run: int, argv: tuple[str, ...], path: str, identity: Identity) -> ScriptEnded | None:
        """Start `path` with argv; the end at once when it could not be started."""
        started_ns = time.time_ns()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        # So that `echo … > /dev/stderr` works for a script of another user, too.
        os.fchmod(writer, 0o622)
        try:
            process = self._spawn((path, *argv[1:]), identity, writer)
        except (OSError, subprocess.SubprocessError) as error:
            os.close(reader)
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return ScriptEnded(run, CANNOT_START, started_ns, 0, "", f"{path} could not be started: {text}")
        finally:
            os.close(writer)
        script = _Script(
            run=run,
            process=process,
            user=identity.user,
            pidfd=os.pidfd_open(process.pid),
            pipe=reader,
            started_ns=started_ns,
            started_at_ns=time.monotonic_ns(),
        )
        self._scripts[run] = script
        self._loop.watch(reader, lambda _mask: self._read(script))
        self._loop.watch(script.pidfd, lambda _mask: self._end(script))
        return None

    def signal(self, run: int, *, forced: bool) -> None:
        """SIGTERM, or SIGKILL, to the script's process group."""
        script = self._scripts.get(run)
        if script is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(script.process.pid, signal.SIGKILL if forced else signal.SIGTERM)

    def _spawn(self, argv: tuple[str, ...], identity: Identity, output: int) -> subprocess.Popen[bytes]:
        try:
            return self._popen(argv, identity, output)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # Text without a `#!` line is for the shell.
            return self._popen(("/bin/sh", *argv), identity, output)

    def _popen(self, argv: tuple[str, ...], identity: Identity, output: int) -> subprocess.Popen[bytes]:
        switch = identity.switch
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=self._environment,
            user=identity.uid if switch else None,
            group=identity.gid if switch else None,
            extra_groups=identity.groups if switch else None,
            start_new_session=True,
            umask=_UMASK,
        )

    def _read(self, script: _Script) -> list[ScriptEnded]:
        try:
            data = os.read(script.pipe, _READ_OCTETS)
        except BlockingIOError:
            return []
        if not data:
            self._loop.unwatch(script.pipe)
            os.close(script.pipe)
            script.pipe = -1
            return []
        if not script.ended:
            room = MOST_OUTPUT_OCTETS - len(script.output)
            script.output += data[:room]
            script.cut = script.cut or len(data) > room
        return []

    def _end(self, script: _Script) -> list[ScriptEnded]:
        exit_status = script.process.poll()
        if exit_status is None:
            return []
        took_us = (time.monotonic_ns() - script.started_at_ns) // 1000
        self._loop.unwatch(script.pidfd)
        os.close(script.pidfd)
        if script.pipe >= 0:
            self._read(script)
        script.ended = True
        del self._scripts[script.run]
        text = script.output.decode(errors="backslashreplace").strip()
        self._said(script.run, f"{text}\n(the rest was cut)" if script.cut else text)
        last_line = text.splitlines()[-1][:_LAST_LINE_CHARACTERS] if text else ""
        return [ScriptEnded(script.run, exit_status, script.started_ns, took_us, script.user, last_line)]


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a script gets of our environment."""
    return {
        name: value
        for name, value in ours.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
