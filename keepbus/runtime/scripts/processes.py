"""Starting scripts, their output, their end.

A script gets the null device to read from and a pipe for what it says; the loop learns of its end through a
pidfd. Nothing here waits. What a script leaves running in the background may keep the pipe: then it is read
and thrown away until its last holder closes it, so that nobody is stopped by a full pipe; or it is closed
with the script's end, so that nobody keeps this process busy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from keepbus.runtime.loop import Loop
from keepbus.runtime.machine import Event
from keepbus.runtime.scripts.identity import Identity

MOST_OUTPUT_OCTETS = 64 * 1024
"""Of what a script says, this much is kept."""
CANNOT_START = 127
_READ_OCTETS = 65_536
_LAST_LINE_CHARACTERS = 200
_UMASK = 0o022
# What steers the loader or a shell, and what is the node's own.
_DROPPED = frozenset({"IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS"})
_DROPPED_PREFIXES = ("LD_", "SUPERVISOR_", "KEEPBUS_", "BASH_FUNC_")


class Ended(NamedTuple):
    """How a script ended; CANNOT_START with took_us 0 and the reason in last_line when it did not begin."""

    run: int
    exit_status: int
    """Negative for a signal."""
    started_ns: int
    """Wall clock, nanoseconds."""
    took_us: int
    user: str
    """Whom it ran as; empty when it was not started."""
    output: str
    last_line: str


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
    signalled: bool = False


class Processes:
    """The scripts that run."""

    def __init__(
        self, loop: Loop, on_end: Callable[[Ended], Iterable[Event]], *, spares_rest: bool = True
    ) -> None:
        """on_end makes events of a script's end.

        spares_rest: what a script left in the background lives on, and its output is read and thrown away;
        otherwise its pipe is closed, and after a signal to the script it is killed.
        """
        self._loop = loop
        self._on_end = on_end
        self._spares_rest = spares_rest
        self._scripts: dict[int, _Script] = {}
        self._environment = environment(os.environ)

    def __len__(self) -> int:
        return len(self._scripts)

    def start(self, run: int, argv: tuple[str, ...], path: str, identity: Identity) -> Ended | None:
        """Start `path` with argv; when it could not be started its end, which on_end then does not get."""
        started_ns = time.time_ns()
        try:
            process, pidfd, reader = self._begin((path, *argv[1:]), identity)
        except (OSError, subprocess.SubprocessError) as error:
            text = (error.strerror if isinstance(error, OSError) else None) or str(error)
            reason = f"{path} could not be started: {text}"
            return Ended(run, CANNOT_START, started_ns, 0, "", "", reason)
        script = _Script(
            run=run,
            process=process,
            user=identity.user,
            pidfd=pidfd,
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
            script.signalled = True
            _signal_group(script, signal.SIGKILL if forced else signal.SIGTERM)

    def _begin(self, argv: tuple[str, ...], identity: Identity) -> tuple[subprocess.Popen[bytes], int, int]:
        """The process, its pidfd, and where to read what it says; when one of them cannot be had, nothing."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(reader, False)
            # So that `echo … > /dev/stderr` works for a script of another user, too.
            os.fchmod(writer, 0o622)
            process = self._spawn(argv, identity, writer)
            try:
                return process, os.pidfd_open(process.pid), reader
            except OSError:
                process.kill()
                process.wait()
                raise
        except (OSError, subprocess.SubprocessError):
            os.close(reader)
            raise
        finally:
            os.close(writer)

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

    def _read(self, script: _Script) -> Iterable[Event]:
        try:
            data = os.read(script.pipe, _READ_OCTETS)
        except BlockingIOError:
            return ()
        if not data:
            self._close_pipe(script)
        elif not script.ended:
            room = MOST_OUTPUT_OCTETS - len(script.output)
            script.output += data[:room]
            script.cut = script.cut or len(data) > room
        return ()

    def _close_pipe(self, script: _Script) -> None:
        self._loop.unwatch(script.pipe)
        os.close(script.pipe)
        script.pipe = -1

    def _end(self, script: _Script) -> Iterable[Event]:
        if script.signalled and not self._spares_rest:
            # Until the script is waited for, nobody else can have the number of its group.
            _signal_group(script, signal.SIGKILL)
        exit_status = script.process.poll()
        if exit_status is None:
            return ()
        took_us = (time.monotonic_ns() - script.started_at_ns) // 1000
        self._loop.unwatch(script.pidfd)
        os.close(script.pidfd)
        if script.pipe >= 0:
            self._read(script)
        if script.pipe >= 0 and not self._spares_rest:
            self._close_pipe(script)
        script.ended = True
        del self._scripts[script.run]
        text = script.output.decode(errors="backslashreplace").strip()
        last_line = text.splitlines()[-1][:_LAST_LINE_CHARACTERS] if text else ""
        if script.cut:
            text = f"{text}\n(the rest was cut)"
        return self._on_end(
            Ended(script.run, exit_status, script.started_ns, took_us, script.user, text, last_line)
        )


def _signal_group(script: _Script, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(script.process.pid, number)


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a script gets of our environment."""
    return {
        name: value
        for name, value in ours.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
