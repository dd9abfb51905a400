"""Every keyword of virtual servers is in a file that keepalived and keepbus were both given, or says why not.

Two corpora: tests/uml/corpus.py, whose IPVS tables are compared, and tests/netns/checker_corpus.py, whose
verdicts are. What they hold is compared with the keyword tables, so that a keyword that comes brings its
configuration along.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from keepbus.config import keywords

TESTS = Path(__file__).resolve().parents[1]
SERVERS = ("virtual_server", "real_server")
OF_CHECKS = "when and how its checks are made changes no entry: the corpus of checkers has it"
OF_SCRIPTS = "tests/uml/scenario_notices runs it beside keepalived"
NOT_IN_THE_TABLE = {
    **dict.fromkeys(("retry", "delay_before_retry", "warmup", "connect_timeout", "delay_loop"), OF_CHECKS),
    **dict.fromkeys(("quorum_up", "quorum_down", "notify_up", "notify_down"), OF_SCRIPTS),
    "ha_suspend": "it needs a virtual router: tests/unit/test_checker_suspension",
}
NOT_COMPARED = {
    ("tls_compliant", "tls_compliant"): "keepalived has it since 2.3: tests/netns/test_checker_tls",
    ("name", "bfd"): "keepalived has sessions of its own: tests/netns/test_checker_characters",
}
"""Keyword and field, and why no configuration beside keepalived has it."""
Used = dict[keywords.Path, dict[str, set[str]]]
"""Keywords and what came after them, by block."""


def load(name: str, folder: str) -> ModuleType:
    """A module of the tests, under a name of its own: another folder has a corpus, too."""
    specification = importlib.util.spec_from_file_location(f"of_{name}", TESTS / folder / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look there
    specification.loader.exec_module(module)
    return module


def used(text: str) -> Used:
    """The keywords of a file with one statement a line."""
    found: Used = {}
    path: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words == ["}"]:
            path.pop()
        elif words:
            arguments = found.setdefault(tuple(path), {}).setdefault(words[0], set())
            arguments.update(words[1:2])
            if words[-1] == "{":
                path.append(words[0])
    assert path == []
    return found


def supported(block: keywords.Path) -> dict[str, keywords.Row]:
    return {keyword: row for keyword, row in keywords.blocks()[block].items() if row.supported}


@pytest.fixture(scope="module")
def corpus() -> Used:
    module = load("corpus", "uml")
    return used(module.configuration() + module.configuration(reloaded=True))


@pytest.fixture(scope="module")
def checks() -> Used:
    sys.path.insert(0, str(TESTS / "netns"))
    try:
        module = load("checker_corpus", "netns")
    finally:
        sys.path.pop(0)
    return used(module.configuration(Path(), [9] * len(module.CASES)))


@pytest.mark.parametrize("block", [SERVERS[:1], SERVERS])
def test_the_corpus_has_every_keyword_that_shapes_the_table(corpus: Used, block: keywords.Path) -> None:
    checkers = {path[2] for path in keywords.blocks() if path[:2] == SERVERS and len(path) > 2}
    wanted = set(supported(block)) - (checkers - {"FILE_CHECK"})
    assert wanted - set(corpus[block]) - NOT_IN_THE_TABLE.keys() == set()
    assert not NOT_IN_THE_TABLE.keys() & set(corpus[block]) - {"delay_loop"}, (
        "it has no reason to be left out"
    )


def test_the_corpus_has_every_word_of_those_that_are_one_of_some(corpus: Used) -> None:
    for keyword, row in supported(SERVERS[:1]).items():
        if row.kind == "one-of" and keyword not in ("lvs_sched",):
            assert set(row.parameters.split()) <= corpus[SERVERS[:1]][keyword], keyword
    assert {"NAT", "DR", "TUN"} <= corpus[SERVERS[:1]]["lb_kind"]
    assert {"TCP", "UDP", "SCTP"} <= corpus[SERVERS[:1]]["protocol"]


def test_the_corpus_has_every_kind_of_member_of_a_group(corpus: Used) -> None:
    members = set(corpus[("virtual_server_group",)])
    assert "fwmark" in members
    for one_of in (".", "::", "-", "/"):
        assert any(one_of in member for member in members), one_of


def test_every_keyword_of_checkers_was_beside_keepalived(checks: Used) -> None:
    """In one checker: what all of them have is the same text for all."""
    blocks = {path: rows for path, rows in keywords.blocks().items() if path[:2] == SERVERS and len(path) > 2}
    seen = {
        (keyword, blocks[path][keyword].field)
        for path, found in checks.items()
        for keyword in found
        if keyword in blocks.get(path, {})
    }
    wanted = {(keyword, row.field) for path in blocks for keyword, row in supported(path).items()}
    assert wanted - seen == NOT_COMPARED.keys()


def test_every_checker_was_beside_keepalived(checks: Used) -> None:
    kinds = {keyword for keyword, row in supported(SERVERS).items() if row.kind == "block"}
    assert kinds - set(checks[SERVERS]) == {"BFD_CHECK"}
