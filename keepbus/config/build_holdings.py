"""What a master holds beside its addresses: `virtual_routes` and `virtual_rules` of an instance."""

from __future__ import annotations

from typing import Any

from keepbus.config.build_routes import read_routes
from keepbus.config.build_rules import RuleReader
from keepbus.config.reader import Fields, TableReader


def read_holdings(tables: TableReader, fields: Fields, rules: RuleReader) -> dict[str, Any]:
    """Fields of the instance, by name."""
    routes = read_routes(tables, fields.get("virtual_routes", ()))
    return {
        "virtual_routes": tuple(each.route for each in routes),
        "virtual_rules": tuple(each.rule for each in rules.read(fields.get("virtual_rules", ()))),
    }
