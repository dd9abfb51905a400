"""`garp_*`, `vrrp_garp_*` and `vrrp_min_garp` to the model (features 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepbus.config.model.vrrp import GratuitousArp
from keepbus.config.reader import Fields

_FIELDS = (
    "master_delay_us",
    "master_repeat",
    "master_refresh_us",
    "master_refresh_repeat",
    "lower_prio_delay_us",
    "lower_prio_repeat",
)


def build_garp(fields: Fields, defaults: Mapping[str, Any]) -> GratuitousArp:
    """An instance's; defaults are the fields of global_defs."""
    given: dict[str, Any] = {}
    if defaults.get("min_garp"):
        given = {
            "master_delay_us": 0,
            "master_repeat": 1,
            "master_refresh_us": 0,
            "master_refresh_repeat": 1,
        }
    for field in _FIELDS:
        if field in fields.values or field in defaults:
            given[field] = fields.get(field, defaults.get(field))
    for field in ("master_repeat", "master_refresh_repeat"):
        if given.get(field) == 0:
            given[field] = 1
    extra = fields.get("extra_us", defaults.get("extra_us"))
    if extra is not None:
        given |= {"extra_us": extra.interval_us, "extra_all": extra.every}
    builtin = GratuitousArp()
    given.setdefault("lower_prio_delay_us", given.get("master_delay_us", builtin.master_delay_us))
    given.setdefault("lower_prio_repeat", given.get("master_repeat", builtin.master_repeat))
    return GratuitousArp(**given)
