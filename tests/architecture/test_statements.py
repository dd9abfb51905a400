"""Every numbered statement is named by a test, or stands below with the reason why none can.

The numbers are those of the specification: the protocol by subject (F formats, C checksums, S link layer,
A and X authentication, D checks of what is received, P priority, T timers, I, B and M the three states,
L learned intervals, E preemption and start, K what a state does for addresses, G announcements, U unicast,
J two versions side by side, N notices; V and W the interface and the meaning of IPVS), then reliability:
R-L rules of the lease, R-F faults, R-I invariants.

A test names a statement at the beginning of its own name (`test_d8_d9_...`, `test_r_f17_...`), or in a text
of its module (a docstring, a comment, a parameter's id), or plays a vector that is about it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROTOCOL = {
    "F": 15, "C": 9, "S": 11, "A": 7, "X": 8, "D": 23, "P": 8, "T": 14, "I": 6, "B": 9, "M": 15, "L": 5,
    "E": 8, "K": 10, "G": 10, "U": 6, "J": 3, "N": 3, "V": 24, "W": 24,
}  # fmt: skip
FAULTS = range(1, 91)
STATEMENTS = [
    *(f"{letter}{number}" for letter, last in PROTOCOL.items() for number in range(1, last + 1)),
    *(f"R-L{number}" for number in range(1, 12)),
    *(f"R-F{number}" for number in FAULTS),
    *(f"R-I{number}" for number in range(1, 15)),
]
EXCEPTIONS = {
    "J1": "RFC 9568 8.4.2 leaves the mode to choice; it is not offered (J2, J3), as keepalived has none",
    "W22": "a stop removes what is keepbus's, as keepalived's does; `--keep-table` is the other way",
}
"""Statement and why it has no test."""
_IN_TEXT = re.compile(r"(?<![\w.-])(R-[LFI]\d+|[A-Z]\d+)(?: to (?:(?:R-)?[A-Z])?(\d+))?(?!\w)")
_TEST_NAME = re.compile(r"^\s*def test_((?:r_?[lfi]\d+_|[a-z]\d+_)+)", re.MULTILINE)
_ABOUT_LVS = re.compile(r"ipvs|uml|test_config|corpus")
_ABOUT_VRRP = re.compile(r"vrrp|test_config|test_node|test_notify|test_tracking")


def parts(statement: str) -> tuple[str, int]:
    """Letters and number."""
    match = re.fullmatch(r"(\D+)(\d+)", statement)
    assert match is not None
    return match[1], int(match[2])


def named_in(text: str) -> set[str]:
    """The statements that a module names."""
    found = set()
    for first, last in _IN_TEXT.findall(text):
        letters, number = parts(first)
        found |= {f"{letters}{each}" for each in range(number, int(last or number) + 1)}
    for prefix in _TEST_NAME.findall(text):
        for each in re.findall(r"r_?[lfi]\d+|[a-z]\d+", prefix):
            found.add(
                "R-" + each[1:].strip("_").upper() if len(each) > 2 and each[1] in "_lfi" else each.upper()
            )
    return found


def by_statement() -> dict[str, set[str]]:
    """The modules and vectors that name each statement."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in TESTS.rglob("*.py"):
        if path == Path(__file__) or path.name == "corpus.py":
            continue
        for statement in named_in(path.read_text(encoding="utf-8")):
            about = _ABOUT_LVS if statement[0] in "VW" else _ABOUT_VRRP
            if statement.startswith("R-") or about.search(path.name):
                found[statement].add(path.name)
    vectors = json.loads((TESTS / "contract" / "vrrp-vectors.json").read_text(encoding="utf-8"))["vectors"]
    for vector in vectors:
        for statement in vector.get("statements", ()):
            found[statement].add(vector["name"])
    return found


def test_every_statement_is_named_by_a_test() -> None:
    found = by_statement()
    assert [each for each in STATEMENTS if not found[each] and each not in EXCEPTIONS] == []


def test_exceptions_are_statements() -> None:
    assert EXCEPTIONS.keys() <= set(STATEMENTS)


def test_how_statements_are_found() -> None:
    assert named_in("def test_d8_d9_a_slug() -> None: ...") == {"D8", "D9"}
    assert named_in("def test_r_f64_e8_rl7_b() -> None: ...") == {"R-F64", "E8", "R-L7"}
    assert named_in('"""R-I1 to R-I3, T5, and (M10)."""') == {"R-I1", "R-I2", "R-I3", "T5", "M10"}
    assert named_in("VIP10, 0xC0, v2, a_T5") == set()
