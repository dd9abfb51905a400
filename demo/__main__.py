"""`./dev demo`: makes itself namespaces of its own, tells the story in them, and leaves nothing behind.

Without root the same happens inside a user namespace. With --keep the last chapter's network stays until
the shell that it gives (or Ctrl-C) ends it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import network
from demo.narrator import Narrator
from demo.story import Story

_INSIDE = "KEEPBUS_DEMO_INSIDE"


def main() -> int:
    """The exit status: 0 when every claim held."""
    parser = argparse.ArgumentParser(prog="./dev demo", description="The main job, shown and checked.")
    parser.add_argument("--keep", action="store_true", help="leave the last chapter running, to look around")
    options = parser.parse_args()
    if _INSIDE not in os.environ:
        return enter_namespaces()
    network.run("mount", "-t", "tmpfs", "tmpfs", "/run")
    work = Path(tempfile.mkdtemp(prefix="keepbus-demo-", dir="/run"))
    work.chmod(0o755)
    story = Story(Narrator(), work)
    try:
        story.tell()
        held = story.say.table()
        if not held:
            for node in (story.d1, story.d2):
                print(f"\nlast lines of {node.host}:\n{node.log()}")
        if options.keep:
            look_around(story, work)
        return 0 if held else 1
    except KeyboardInterrupt:
        return 130
    finally:
        story.end()
        shutil.rmtree(work, ignore_errors=True)


def enter_namespaces() -> int:
    """Run this again as root of its own network, mounts and processes; its exit status."""
    if shutil.which("unshare") is None:
        print("demo: unshare is missing; install Debian's util-linux", file=sys.stderr)
        return 1
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
         sys.executable, "-m", "demo", *sys.argv[1:]],
        env={**os.environ, _INSIDE: "1"}, check=False,
    )  # fmt: skip
    return done.returncode


def look_around(story: Story, work: Path) -> None:
    """A shell inside the demo, with a command for each host."""
    commands = work / "bin"
    commands.mkdir()
    for host in dict.fromkeys(link.host for link in network.LINKS):
        command = commands / host
        command.write_text(f'#!/bin/sh\nKEEPBUS_RUN_DIR={work}/{host} exec ip netns exec {host} "$@"\n')
        command.chmod(0o755)
    print(
        "\nThe last chapter goes on. A host's name runs a command on it:\n"
        "  d1 keepbus status          d1 keepbus tap            d1 keepbus explain VI_1\n"
        "  d1 ip address              client ping 172.16.1.188  d1 nft list ruleset\n"
        "Leave the shell to end it.",
        flush=True,
    )
    environment = {
        **os.environ,
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": "keepbus-demo$ ",
    }
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=environment, check=False)


if __name__ == "__main__":
    sys.exit(main())
