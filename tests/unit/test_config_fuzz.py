"""Whatever the octets are: a result, never an exception (and never one without a reason)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepbus.cli.findings import as_json, render
from keepbus.cli.terminal import Paint
from keepbus.config.compiler import compile_file
from keepbus.config.keywords import blocks
from keepbus.config.kinds import KINDS
from keepbus.config.lexer import scan
from keepbus.config.source import masked
from keepbus.config.values import Invalid, split_command

SEED = [path.read_bytes() for path in sorted((Path(__file__).resolve().parents[1] / "seed").iterdir())]
WORDS = sorted({keyword for rows in blocks().values() for keyword in rows})
PIECES = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        ["{", "}", "\n", '"', "#", "!", "\\", "//", "@", "$", "~SEQ", "\xa0", "\t", "\r\n", "级"]
    ),
    st.sampled_from(["192.0.2.1", "192.0.2.1/24", "80", "eth0", "MASTER", "3", "-1", "1e9", "9" * 30, "0.5"]),
    st.text(max_size=5),
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def check(octets: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keepalived.conf"
        path.write_bytes(octets)
        for permissive in (False, True):
            compiled = compile_file(path, permissive=permissive)
            assert (compiled.configuration is None) == bool(compiled.errors)
            for line in render(compiled, Paint(False)):
                assert line.isprintable()
            as_json(compiled.diagnostics).encode()
            for finding in compiled.diagnostics:
                assert finding.place.line == 0 or finding.place.column >= 1
                assert (
                    not finding.place.line or finding.place.excerpt_column <= len(finding.place.excerpt) + 1
                )


@QUICK
@given(st.binary(max_size=300))
def test_octets(octets: bytes) -> None:
    check(octets)


@QUICK
@given(st.lists(PIECES, max_size=60))
def test_pieces_of_configurations(pieces: list[str]) -> None:
    check(" ".join(pieces).encode("utf-8", errors="surrogatepass"))


@QUICK
@given(st.sampled_from(SEED), st.data())
def test_damaged_seed_files(octets: bytes, data: st.DataObject) -> None:
    lines = octets.split(b"\n")
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        action = data.draw(st.sampled_from(["drop", "double", "cut", "insert"]))
        if action == "drop":
            lines[index] = b""
        elif action == "double":
            lines.insert(index, lines[index])
        elif action == "cut":
            lines[index] = lines[index][: data.draw(st.integers(0, len(lines[index])))]
        else:
            lines.insert(index, data.draw(PIECES).encode("utf-8", errors="surrogatepass"))
    check(b"\n".join(lines))


@QUICK
@given(st.text(max_size=80))
def test_a_line(line: str) -> None:
    tokens = scan(line).tokens
    assert all(line[token.start : token.end] for token in tokens)
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
    assert len(masked(line)) == len(line)


@pytest.mark.parametrize("name", KINDS)
@QUICK
@given(words=st.lists(st.one_of(PIECES, st.text(min_size=1, max_size=8)), min_size=1, max_size=3))
def test_kinds_raise_nothing_but_invalid(name: str, words: list[str]) -> None:
    parameters = {"integer": "1..255", "seconds": "0.01..255", "one-of": "a b"}.get(name, "")
    value: object = None
    invalid: Invalid | None = None
    try:
        value = KINDS[name].convert(words, parameters)
    except Invalid as error:
        invalid = error
    hash(value)
    assert invalid is None or (str(invalid) and 0 <= invalid.index < len(words))


@QUICK
@given(st.text(max_size=40))
def test_commands(command: str) -> None:
    try:
        argv = split_command(command)
    except Invalid:
        return
    assert all("\0" not in argument or "\0" in command for argument in argv)
