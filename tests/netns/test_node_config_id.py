"""What `@ID` lines compare with: at the start and on every reload."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest
from node_harness import configuration, eventually, needs_namespaces, node, wire

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with wire(1) as (name,):
        yield name


def for_two(config_id: str, theirs: int, others: int) -> str:
    """A file that gives one id one priority and every other id another."""
    text = configuration(theirs)
    assert text.count(f"priority {theirs}") == 1
    return text.replace(
        f"priority {theirs}", f"@{config_id} priority {theirs}\n    @^{config_id} priority {others}"
    )


@pytest.mark.parametrize("options", [(), ("--config-id", "blue")])
def test_a_node_compares_with_its_id_or_its_name(namespace: str, options: tuple[str, ...]) -> None:
    config_id = options[1] if options else namespace
    with node(namespace, for_two(config_id, 110, 90), *options) as made:
        assert made.process is not None
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 110, 5)

        made.file.write_text(for_two(config_id, 120, 80), encoding="utf-8")
        planned = subprocess.run(
            made.command("plan"), capture_output=True, text=True, timeout=20, check=False
        )
        assert planned.returncode == 1
        assert "priority 110 → 120" in planned.stdout
        subprocess.run(made.command("reload"), capture_output=True, timeout=20, check=True)
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 120, 5)
        planned = subprocess.run(
            made.command("plan"), capture_output=True, text=True, timeout=20, check=False
        )
        assert (planned.returncode, planned.stderr) == (0, "")

        # A second reload still knows it, also one by signal.
        made.file.write_text(for_two(config_id, 130, 70), encoding="utf-8")
        made.process.send_signal(signal.SIGHUP)
        made.hear("state/vrrp/instance/", lambda m: m.body.base_priority == 130, 10)
        eventually("the reload is told", lambda: "every service runs generation 3" in made.said(), 10)
