"""What must outlive this process, as small JSON files in RUNDIR/ipvs, each replaced whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from keepbus_ipvs.effects import Remember
from keepbus_ipvs.events import Recalled
from keepbus_ipvs.table import (
    Destination,
    DestinationKey,
    FoundDestination,
    FoundService,
    Service,
    ServiceKey,
)


def recall(path: Path) -> Recalled:
    """What is kept in the file; nothing when there is no file or it is not whole."""
    data = load(path)
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        seconds = data["timeouts"]
        return Recalled(
            tuple(ServiceKey(*item) for item in data["owned"]),
            tuple((str(name), str(server)) for name, server in data["drained"]),
            bool(data["sync_daemon"]),
            None if seconds is None else (int(seconds[0]), int(seconds[1]), int(seconds[2])),
        )
    return Recalled(())


def remember(path: Path, what: Remember) -> None:
    """Keep this instead; raises OSError."""
    save(path, {**what._asdict(), "owned": [list(key) for key in what.owned]})


def load(path: Path) -> Any:
    """The content of a JSON file; None when there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def save(path: Path, data: Any) -> None:
    """Replace a JSON file in one step; raises OSError."""
    replace(path, json.dumps(data, indent=1))


def replace(path: Path, text: str) -> None:
    """Replace a file in one step; raises OSError."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


def service_to_plain(found: FoundService) -> dict[str, Any]:
    """A service with its destinations for a JSON file."""
    service = found.service
    return {
        "key": list(service.key),
        "scheduler": service.scheduler,
        "flags": service.flags,
        "timeout_s": service.timeout_s,
        "netmask": service.netmask,
        "engine": service.engine,
        "destinations": [[*item.destination.key, *item.destination[1:]] for item in found.destinations],
    }


def service_from_plain(data: Any) -> FoundService:
    """The inverse; raises KeyError, TypeError or ValueError for anything else."""
    service = Service(
        ServiceKey(*data["key"]),
        data["scheduler"],
        data["flags"],
        data["timeout_s"],
        data["netmask"],
        data["engine"],
    )
    destinations = tuple(
        FoundDestination(Destination(DestinationKey(address, port), *settings))
        for address, port, *settings in data["destinations"]
    )
    return FoundService(service, destinations)
