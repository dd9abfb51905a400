"""From `deploy/` to the files that a node's supervisord reads.

A template's `${name}` is replaced by a value of the node, `${confined CAP,CAP}` by the setpriv call that
leaves a program exactly these capabilities, `${urgent}` by the calls of chrt and choom that put a program
before all ordinary ones and spare it when memory runs out. In a `command=` paths are quoted, because
supervisord splits it as a shell would.
"""

from __future__ import annotations

import importlib.resources
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keepbus.runtime import urgency

OVERRIDES = Path("/etc/keepbus/programs")
"""Program files of the operator: one named like one of ours takes its place, others are added."""

_STANDBY = "vrrp-standby.conf"
_MORE_CHECKERS = "checker-more.conf"
_PATHS = ("run_dir", "python")
_CHRT = ["chrt", "--rr", str(urgency.STARTING_PRIORITY)]
_CHOOM = ["choom", "-n", "-900", "--"]
_PLACEHOLDER = re.compile(r"\$\{(\w+)(?: ([\w,]*))?\}")


class DeploymentError(Exception):
    """A template cannot be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the templates ask for."""

    run_dir: Path
    confined: bool
    """Cut down each program's privileges with setpriv."""
    urgent: bool
    """Run what must be on time in the real-time class."""
    spared: bool = False
    """Keep the kernel from ending what must be on time when memory runs out, as long as there are others."""
    service_options: str = ""
    """Options that every service gets."""
    standby: bool = True
    """Start a second vrrp that waits to take the place of the first."""
    vrrp_options: str = ""
    ipvs_options: str = ""
    checkers: int = 1
    """Processes that share the targets of checks."""
    overrides: Path = OVERRIDES


def templates() -> Path:
    """The folder `deploy/`: inside the installed package, or beside it in the repository."""
    package = Path(str(importlib.resources.files("keepbus")))
    for folder in (package / "deploy", package.parent / "deploy"):
        if (folder / "supervisord.conf").is_file():
            return folder
    raise DeploymentError(f"{package} was installed without its deploy/ folder; install keepbus again")


def render(deployment: Deployment) -> Path:
    """Write RUNDIR/supervisor/supervisord.conf and programs/*.conf; the path of the first.

    Raises DeploymentError for a template that asks for what there is not, OSError when one cannot be read
    or a file not be written.
    """
    source = templates()
    target = deployment.run_dir / "supervisor"
    programs = target / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(mode=0o700)
    files = {path.name: path for path in (source / "programs").glob("*.conf")}
    files |= {path.name: path for path in deployment.overrides.glob("*.conf")}
    # Somebody else's vrrp may know nothing of the lock that ours would wait for.
    theirs = files["vrrp.conf"].parent != files[_STANDBY].parent == source / "programs"
    if not deployment.standby or theirs:
        del files[_STANDBY]
    more = files.pop(_MORE_CHECKERS)
    for name, path in files.items():
        (programs / name).write_text(_fill(path, deployment), encoding="utf-8")
    # Somebody else's checker shares with none of ours.
    if files["checker.conf"].parent == source / "programs":
        for number in range(2, deployment.checkers + 1):
            text = _fill(more, deployment, number=number)
            (programs / f"checker-{number}.conf").write_text(text, encoding="utf-8")
    main = target / "supervisord.conf"
    main.write_text(_fill(source / "supervisord.conf", deployment), encoding="utf-8")
    return main


def can_confine(capabilities: Iterable[str]) -> bool:
    """True when setpriv is there and may set privileges here."""
    return _works(_setpriv(capabilities))


def can_be_urgent() -> bool:
    """True when chrt is there and may use the real-time class here."""
    return _works(_CHRT)


def can_be_spared() -> bool:
    """True when choom is there and may protect a program here."""
    return _works(_CHOOM)


def _works(prefix: list[str]) -> bool:
    """Try it, because only the kernel knows."""
    if shutil.which(prefix[0]) is None:
        return False
    trial = [*prefix, "true"]
    return subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _setpriv(capabilities: Iterable[str]) -> list[str]:
    """The call that leaves the command after it exactly these capabilities (reliability R-P1)."""
    wanted = ",".join(("-all", *(f"+{name.lower()}" for name in capabilities)))
    return ["setpriv", "--no-new-privs", f"--inh-caps={wanted}", f"--bounding-set={wanted}"]


def _fill(path: Path, deployment: Deployment, number: int = 1) -> str:
    """number: which of several processes, for `${number}` and `${checker_options}`."""
    values = {
        "run_dir": str(deployment.run_dir),
        "python": sys.executable,
        "service_options": deployment.service_options,
        "vrrp_options": " ".join(
            option for option in ("--standby" * deployment.standby, deployment.vrrp_options) if option
        ),
        "ipvs_options": deployment.ipvs_options,
        "checker_options": f"--share {number}/{deployment.checkers}" if deployment.checkers > 1 else "",
        "number": str(number),
    }

    def value(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if name == "confined":
            names = [capability for capability in (argument or "").split(",") if capability]
            text = shlex.join(_setpriv(names)) if deployment.confined else ""
        elif name == "urgent":
            text = shlex.join([*_CHRT * deployment.urgent, *_CHOOM * deployment.spared])
        elif name in values:
            text = values[name]
            if name in _PATHS and match.string.startswith("command="):
                text = shlex.quote(text)
        else:
            known = ", ".join(sorted([*values, "confined", "urgent"]))
            raise DeploymentError(f"{path} asks for ${{{name}}}; there are {known}")
        return text.replace("%", "%%")

    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(_PLACEHOLDER.sub(value, line) for line in lines)
