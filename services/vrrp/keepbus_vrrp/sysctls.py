"""Kernel settings that instances ask for, and what they were before.

Law of this file: a value of before is on disk before the setting is changed, so that a crash does not make
the changed one the value to come back to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path("/proc/sys")
_INTERFACES = "net/ipv4/conf"
_EVERY_RP_FILTER = f"{_INTERFACES}/all/rp_filter"


class Sysctls:
    """Settings by their path below /proc/sys."""

    def __init__(self, path: Path, root: Path = _ROOT) -> None:
        """path: where the values of before are kept."""
        self._path = path
        self._root = root
        self._wanted: dict[str, str] = {}
        self._before = self._load()
        self._told: set[str] = set()

    def want(self, wanted: Mapping[str, str]) -> list[str]:
        """Have these settings; others that were asked for get back the value of before. What could not be
        done, a sentence each; a setting of an interface that is not there is left for later."""
        wanted = self._wanted = self._moved_down(wanted)
        complaints = []
        for name, value in wanted.items():
            found = self._read(name)
            if found is None or found == value:
                continue
            self._before.setdefault(name, found)
            complaints += self._keep() or self._write(name, value)
        for name in [name for name in self._before if name not in wanted]:
            complaints += self._write(name, self._before.pop(name))
            complaints += self._keep()
        return complaints

    def changed(self) -> list[str]:
        """Settings that somebody else changed since, a sentence each, once (reliability R-F50). They are not
        put back: who changed them may have had a reason."""
        complaints = []
        for name, value in self._wanted.items():
            found = self._read(name)
            if found in (None, value):
                self._told.discard(name)
            elif name not in self._told:
                self._told.add(name)
                complaints.append(
                    f"another program set {name.replace('/', '.')} to {found}; {value} is needed here: "
                    "set it again, or reload"
                )
        return complaints

    def _moved_down(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """The kernel takes the greater of an interface's rp_filter and that of all: where one wants none, all
        have none, and every other interface keeps what it had by that (features 6.5)."""
        moved: dict[str, str] = {}
        every = self._before.get(_EVERY_RP_FILTER, self._read(_EVERY_RP_FILTER))
        if wanted.get(_EVERY_RP_FILTER) == "0" and every not in (None, "0"):
            for folder in sorted((self._root / _INTERFACES).iterdir()):
                name = f"{_INTERFACES}/{folder.name}/rp_filter"
                found = self._before.get(name, self._read(name))
                if name not in wanted and found is not None and every is not None:
                    moved[name] = max(found, every, key=int)
        return moved | dict(wanted)

    def _read(self, name: str) -> str | None:
        try:
            return (self._root / name).read_text(encoding="ascii").strip()
        except OSError:
            return None

    def _write(self, name: str, value: str) -> list[str]:
        try:
            (self._root / name).write_text(value, encoding="ascii")
        except FileNotFoundError:
            return []  # it went with its interface
        except OSError as error:
            return [f"{name.replace('/', '.')} could not be set to {value}: {error.strerror}"]
        return []

    def _load(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def _keep(self) -> list[str]:
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(self._before), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            return [f"the values of before could not be kept in {self._path}: {error.strerror}"]
        return []
