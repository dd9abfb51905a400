"""The run directory of a node: made, checked and held for the life of the node.

lock            held by `keepbus up` and its supervisord; its text is the pid
node            the node's name
locks/NAME      held by each service while it runs; the owner may publish as NAME
bus/speak/ bus/listen/   the hub's two sockets; who may enter may write, or read
config/         compiled configurations
supervisor/     supervisord's own: configuration, socket, log
vrrp/ notify/ audit/ log/   what services keep over a restart
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

SERVICES = ("hub", "audit", "notify", "ipvs", "checker", "vrrp", "watchdog")
"""In order of start; they stop in reverse order."""

STANDBYS = ("vrrp-standby",)
"""Second processes, each ready to take the place of its service; a node may run without them."""

LONGEST_SOCKET_PATH = 107
"""sun_path of sockaddr_un, less its terminating zero (reliability R-B12)."""

_DIRECTORIES = {
    "locks": 0o750,
    # A reading group may pass through here into bus/listen, nobody else's way leads to a socket.
    "bus": 0o751,
    "bus/speak": 0o750,
    "bus/listen": 0o750,
    "config": 0o750,
    "supervisor": 0o700,
    "vrrp": 0o750,
    "notify": 0o750,
    "audit": 0o750,
    "log": 0o750,
}


class RunDirectoryError(Exception):
    """The run directory cannot be used; the message says what to do."""


def supervisor_socket(run_dir: Path) -> Path:
    """Where this node's supervisord listens for XML-RPC; its directory is 0700 (reliability R-S3)."""
    return run_dir / "supervisor" / "socket"


def services(run_dir: Path) -> list[str]:
    """The services of this node in order of start: SERVICES, and the checkers after the first."""
    names = list(SERVICES)
    number = 2
    while (run_dir / "supervisor" / "programs" / f"checker-{number}.conf").exists():
        names.insert(names.index("checker") + number - 1, f"checker-{number}")
        number += 1
    return names


def make(run_dir: Path) -> int:
    """Make the directory and hold it: the descriptor of its lock. Raises RunDirectoryError."""
    _check_length(run_dir)
    try:
        if not run_dir.is_dir():
            run_dir.mkdir(mode=0o750, parents=True)
            run_dir.chmod(0o751)  # as `bus` below; one that somebody else made has the modes that he wants
        lock = _hold(run_dir)
        for name, mode in _DIRECTORIES.items():
            (run_dir / name).mkdir(mode=mode, exist_ok=True)
            # mkdir's mode is cut by the umask, and the directory may be an old one.
            (run_dir / name).chmod(mode)
        for count in (run_dir / "locks").glob("*.starts"):  # a new node begins without its crashes
            count.unlink()
    except OSError as error:
        raise RunDirectoryError(unwritable(run_dir, error)) from None
    return lock


def unwritable(run_dir: Path, error: OSError) -> str:
    """The sentence for what could not be written there. A full disk names no file."""
    where = error.filename or run_dir
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "make room there" if full else "name a run directory that this user may write with -r RUNDIR"
    return f"cannot write {where}: {error.strerror}; {advice}"


def _check_length(run_dir: Path) -> None:
    longest = max(
        (run_dir / name / "socket" for name in ("supervisor", "bus/listen")), key=lambda path: len(str(path))
    )
    excess = len(os.fsencode(longest)) - LONGEST_SOCKET_PATH
    if excess > 0:
        raise RunDirectoryError(
            f"the run directory {run_dir} is {excess} characters too long: "
            f"a socket's path may have {LONGEST_SOCKET_PATH}"
        )


def _hold(run_dir: Path) -> int:
    fd = os.open(run_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise RunDirectoryError(
            f"a node runs in {run_dir} (pid {pid}); stop it, or name another run directory with -r RUNDIR"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
