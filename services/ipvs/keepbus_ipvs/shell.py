"""Carries out what the machine wishes: driver requests and the memory of what is owned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from keepbus_ipvs import memory
from keepbus_ipvs.driver import Driver, DriverError
from keepbus_ipvs.effects import Open, ReadSettings, ReadTable, Recall, Remember, Write, WriteSettings
from keepbus_ipvs.events import Opened, Recalled, SettingsRead, SettingsWritten, TableRead, Written


class Shell:
    """Owns the driver and RUNDIR/ipvs/memory."""

    def __init__(
        self, run_dir: Path, opener: Callable[[], tuple[Driver, str]], warn: Callable[[str], Any]
    ) -> None:
        """opener gets a driver or raises DriverError; warn takes a sentence for the operator."""
        self._memory = run_dir / "ipvs" / "memory"
        self._open = opener
        self._warn = warn
        self._driver: Driver | None = None

    def perform(
        self, effect: Any, _now_ns: int
    ) -> Iterable[Recalled | Opened | TableRead | Written | SettingsRead | SettingsWritten] | None:
        """Carry out one effect; the answer, unless the driver gives it later through the loop."""
        if type(effect) is Recall:
            return [memory.recall(self._memory)]
        if type(effect) is Remember:
            try:
                memory.remember(self._memory, effect)
            except OSError as error:
                self._warn(
                    f"cannot keep {self._memory} ({error.strerror}); after a crash old services may stay"
                )
            return None
        if type(effect) is Open:
            return [self._opened()]
        assert self._driver is not None, "the machine asks for a table only after Opened"
        if type(effect) is ReadTable:
            return self._driver.read(further=effect.further)
        if type(effect) is ReadSettings:
            return [self._driver.read_settings()]
        if type(effect) is WriteSettings:
            return [self._driver.write_settings(effect.adjustments)]
        assert type(effect) is Write
        return self._driver.write(effect.commands)

    def close(self) -> None:
        """Let the driver go."""
        if self._driver is not None:
            self._driver.close()

    def _opened(self) -> Opened:
        try:
            self._driver, detail = self._open()
        except DriverError as error:
            return Opened("", str(error))
        return Opened(self._driver.name, detail)
