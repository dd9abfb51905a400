"""Debian's keepalived as one more router of the soak, with the file that a node in its place would have."""

from __future__ import annotations

import subprocess
from pathlib import Path

from demo.network import inside
from soak.routers import Variant, text

_STOP_S = 5.0


class Peer:
    """It is left in peace: what happens to the nodes happens to what it hears."""

    def __init__(self, host: str, number: int, nodes: int, work: Path) -> None:
        self.name = host
        self._folder = work / host
        self._folder.mkdir()
        self._folder.chmod(0o755)
        for name, script in {"notify.sh": "exit 0", "fit.sh": "exit 0"}.items():
            (self._folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (self._folder / name).chmod(0o755)
        (self._folder / "load").write_text("0\n")
        self._file = self._folder / "keepalived.conf"
        self._file.write_text(text(self._folder, number, nodes, Variant()), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Its VRRP alone: this kernel may have no IPVS."""
        pids = (f"{self._folder}/pid", f"{self._folder}/vrrp.pid")
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                inside(self.name, "keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail",
                       "--use-file", str(self._file), "--pid", pids[0], "--vrrp_pid", pids[1]),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def stop(self) -> None:
        """Stop it as its user does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
