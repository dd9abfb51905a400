"""The dependency rule, held by walking the imports."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("hub", "vrrp", "checker", "ipvs", "notify", "watchdog", "audit")

# A module of a service that does I/O says so by what it imports; everything else is core.
IO_MODULES = {
    "zmq", "socket", "asyncio", "time", "random", "os", "subprocess", "pyroute2", "structlog", "select",
    "signal", "ssl", "threading", "mmap", "fcntl", "http", "ctypes", "selectors", "supervisor",
}  # fmt: skip
# The pure modules of keepbus that a core may use.
PURE = ("keepbus.contracts", "keepbus.config.model", "keepbus.runtime.machine", "keepbus.bus.codec")
# What every service has, and must be pure.
CORE_FILES = ("machine.py", "events.py", "effects.py")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, `from a import b` as a.b and a."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
    return names


def top(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("folder", ["contracts", "config"])
def test_contracts_and_config_need_the_standard_library_only(folder: str) -> None:
    for path in python_files(f"keepbus/{folder}"):
        for name in imports(path):
            assert name.split(".")[0] in sys.stdlib_module_names or under(
                name, "keepbus.contracts", "keepbus.config"
            ), f"{path.relative_to(ROOT)} imports {name}"


def test_contracts_do_not_know_the_configuration() -> None:
    for path in python_files("keepbus/contracts"):
        assert not any(under(name, "keepbus.config") for name in imports(path)), path


def test_bus_knows_contracts_only() -> None:
    for path in python_files("keepbus/bus"):
        for name in imports(path):
            if name.startswith("keepbus"):
                assert under(name, "keepbus.contracts", "keepbus.bus"), f"{path.name} imports {name}"


def test_runtime_does_not_know_the_command_line() -> None:
    for path in python_files("keepbus/runtime"):
        for name in imports(path):
            if name.startswith("keepbus"):
                assert under(name, "keepbus.contracts", "keepbus.bus", "keepbus.config", "keepbus.runtime"), (
                    f"{path.name} imports {name}"
                )


def test_keepbus_never_imports_a_service() -> None:
    for path in python_files("keepbus"):
        assert not any(name.startswith("keepbus_") for name in imports(path)), path


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_never_imports_another(service: str) -> None:
    for path in python_files(f"services/{service}"):
        for name in top(imports(path)):
            assert not name.startswith("keepbus_") or name == f"keepbus_{service}", f"{path} imports {name}"


def core_modules(service: str) -> set[Path]:
    """The machine and everything of its own service that it imports, directly or not."""
    package = ROOT / "services" / service / f"keepbus_{service}"
    found: set[Path] = set()
    waiting = [package / name for name in CORE_FILES if (package / name).exists()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in imports(path):
            if under(name, f"keepbus_{service}"):
                module = ROOT / "services" / service / Path(*name.split("."))
                waiting.extend(p for p in (module.with_suffix(".py"), module / "__init__.py") if p.exists())
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_core_does_no_io(service: str) -> None:
    modules = core_modules(service)
    assert modules, f"{service} has no machine.py"
    for path in modules:
        for name in imports(path):
            assert name.split(".")[0] not in IO_MODULES, f"{path.relative_to(ROOT)} imports {name}"
            if name.startswith("keepbus."):
                assert under(name, *PURE), f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_the_same_files(service: str) -> None:
    package = ROOT / "services" / service / f"keepbus_{service}"
    for name in ("__init__.py", "__main__.py", "shell.py", *CORE_FILES):
        assert (package / name).exists(), f"{service} lacks {name}"
    card = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
    for heading in ("Subscribes to", "Publishes", "Configuration", "Privileges", "Signals", "Ready when"):
        assert heading.lower() in card.lower(), f"the card of {service} does not say: {heading}"
