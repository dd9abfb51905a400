"""`keepbus up`: run a node in the foreground."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import NoReturn

from keepbus.cli import foreground, network_namespace, parent_scripts, preflight
from keepbus.cli.compiling import compile_and_tell
from keepbus.cli.rundir import add_run_dir
from keepbus.cli.terminal import plural
from keepbus.config import ipvs_drivers
from keepbus.config.model.configuration import Configuration
from keepbus.runtime import deployment, generation, privileges, rundir

ABOUT = "run a node in the foreground, until SIGTERM or Ctrl-C"

_NEEDED = frozenset({"NET_ADMIN", "NET_RAW"})
_MOST_CHECKERS = 64
_HELD_BY_SERVICES = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("-f", "--file", type=Path, required=True, help="the keepalived.conf to run")
    add_run_dir(parser)
    parser.add_argument(
        "--node", metavar="NAME", help="the node's name [`instance` of the file, else the host's]"
    )
    parser.add_argument(
        "-i",
        "--config-id",
        metavar="ID",
        help="what `@ID` conditions compare with, also on a reload [the name given by --node, "
        "else the host's up to the first dot]",
    )
    parser.add_argument("--permissive", action="store_true", help="run the file in spite of errors in it")
    parser.add_argument(
        "--ipvs-driver",
        choices=ipvs_drivers.CHOICES,
        default=ipvs_drivers.AUTO,
        help="who balances: the kernel's IPVS, nftables (NAT only), nobody; auto is the first that works",
    )
    parser.add_argument("--keep-addresses", action="store_true", help="leave virtual addresses when stopped")
    parser.add_argument("--keep-table", action="store_true", help="leave IPVS entries when stopped")
    parser.add_argument(
        "--programs",
        type=Path,
        default=deployment.OVERRIDES,
        metavar="FOLDER",
        help="program files that take the place of keepbus's own [%(default)s]",
    )
    parser.add_argument(
        "--checkers",
        type=_processes,
        default=1,
        metavar="N",
        help="processes that share the targets of checks, at most one per CPU is of use [%(default)s]",
    )
    parser.add_argument(
        "--no-standby", action="store_true", help="run no second vrrp that takes over when the first dies"
    )
    parser.add_argument(
        "--no-realtime", action="store_true", help="run vrrp and its supervision with ordinary priority"
    )
    parser.add_argument("--log-json", action="store_true", help="log JSON lines")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def run(options: argparse.Namespace) -> int:
    """0 after an orderly stop, 1 when something died or had to be killed, 2 when the node did not start."""
    run_dir: Path = options.run_dir.absolute()
    os.umask(0o027)
    if absent := privileges.missing(_NEEDED, privileges.effective()):
        return refuse(
            f"lacks {', '.join('CAP_' + name for name in absent)}; start it as root, "
            "or in a namespace of your own with `unshare -Urnm`"
        )
    if options.programs != deployment.OVERRIDES and not options.programs.is_dir():
        return refuse(
            f"there is no folder {options.programs}; name that of your program files with --programs"
        )
    config_id: str = options.config_id or options.node or ""
    configuration = compile_and_tell(
        options.file,
        permissive=options.permissive,
        config_id=config_id,
        ipvs_driver=options.ipvs_driver,
    )
    if configuration is None:
        return refuse(f"{options.file} cannot be used; the node is not started")
    name: str = options.node or configuration.global_defs.instance or socket.gethostname()
    try:
        if configuration.global_defs.net_namespace:
            network_namespace.enter(configuration.global_defs.net_namespace)
    except network_namespace.NamespaceError as error:
        return refuse(str(error))
    for sentence in preflight.absent(configuration, preflight.interfaces()):
        print(f"keepbus: {sentence}", file=sys.stderr)
    try:
        lock = rundir.make(run_dir)
        (run_dir / "node").write_text(f"{name}\n", encoding="utf-8")
        remember_permissive(run_dir, options.permissive)
        number = generation.write(
            run_dir, configuration, options.file.absolute(), config_id, options.ipvs_driver
        )
        confined = deployment.can_confine(_HELD_BY_SERVICES)
        urgent = not options.no_realtime and deployment.can_be_urgent()
        supervisord = deployment.render(_deployment(options, run_dir, confined, urgent))
    except (rundir.RunDirectoryError, deployment.DeploymentError) as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(rundir.unwritable(run_dir, error))
    parent_scripts.before_services(
        configuration.global_defs, lambda sentence: print(f"keepbus: {sentence}", flush=True)
    )
    if not confined:
        print(
            "keepbus: setpriv cannot be used here; every service keeps all privileges of this process",
            flush=True,
        )
    return _stay_small(
        run_dir,
        supervisord,
        lock,
        foreground.Duty(
            strict=confined,
            urgent=urgent,
            is_up=f"node {name} is up: {_contents(configuration)}, generation {number}, in {run_dir}; "
            "stop with Ctrl-C or SIGTERM",
        ),
    )


def _stay_small(run_dir: Path, supervisord: Path, lock: int, duty: foreground.Duty) -> NoReturn:
    """Become the part of this program that stays: what compiling took of memory is given back."""
    sys.stdout.flush()
    os.set_inheritable(lock, True)
    os.execv(sys.executable, [sys.executable, "-P", *foreground.arguments(run_dir, supervisord, lock, duty)])


def _processes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST_CHECKERS):
        raise argparse.ArgumentTypeError(f"from 1 to {_MOST_CHECKERS} are possible, not {text}")
    return int(text)


def remember_permissive(run_dir: Path, permissive: bool) -> None:
    """Let a reload be as permissive as the start was."""
    mark = run_dir / "permissive"
    if permissive:
        mark.touch(mode=0o640)
    else:
        mark.unlink(missing_ok=True)


def refuse(sentence: str) -> int:
    """Say why there is no node; the exit status."""
    print(f"keepbus: {sentence}", file=sys.stderr)
    return 2


def _deployment(
    options: argparse.Namespace, run_dir: Path, confined: bool, urgent: bool
) -> deployment.Deployment:
    every = ["--log-level", options.log_level, *(["--log-json"] if options.log_json else [])]
    ipvs = ["--driver", options.ipvs_driver, *(["--keep-table"] if options.keep_table else [])]
    return deployment.Deployment(
        run_dir=run_dir,
        confined=confined,
        urgent=urgent,
        spared=deployment.can_be_spared(),
        standby=not options.no_standby,
        service_options=shlex.join(every),
        vrrp_options="--keep-addresses" if options.keep_addresses else "",
        ipvs_options=shlex.join(ipvs),
        checkers=options.checkers,
        overrides=options.programs,
    )


def _contents(configuration: Configuration) -> str:
    instances = plural(len(configuration.vrrp.instances), "VRRP instance")
    return f"{instances}, {plural(len(configuration.ipvs.virtual_servers), 'virtual server')}"
