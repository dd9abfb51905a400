"""Conditions, definitions, repetition (features 3.4 to 3.6; the examples there were run with keepalived)."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import codes, compile_text, find, instance, only_instance, told

from keepbus.config.compiler import compile_file
from keepbus.config.language import Language, LanguageError


def expand(*lines: str, config_id: str = "d1") -> list[str]:
    """The lines of a file, expanded; a trailing backslash continues a definition."""
    language = Language(config_id)
    found: list[str] = []
    waiting = list(lines)
    while waiting:
        parts = [waiting.pop(0)]
        while parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1].strip()
            parts.append(waiting.pop(0).strip())
        found.extend(language.expand(tuple(parts), "/etc/keepalived"))
    return found


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("@d1 priority 7", True),
        ("@d2 priority 7", False),
        ("@^d1 priority 7", False),
        ("@^d2 priority 7", True),
    ],
)
def test_condition(line: str, kept: bool) -> None:
    assert expand(line) == (["priority 7"] if kept else [])


@pytest.mark.parametrize(
    ("use", "result"),
    [
        ("x $A y", "x 7 y"),
        ("x $A", "x 7"),
        ("x $A,$A)", "x 7,7)"),
        ("x ${A}y${A}", "x 7y7"),
        # Only before a blank, a comma, `)` or the end.
        ("10.6.$A.1", "10.6.$A.1"),
        ("10.6.${A}.1", "10.6.7.1"),
        ("x $B ${B}", "x $B ${B}"),
        ('"$A"', '"$A"'),
    ],
)
def test_use(use: str, result: str) -> None:
    assert expand("$A=7", use) == [result]


def test_a_definition_is_expanded_when_it_is_used() -> None:
    assert expand("$A=1", "$B=${A}0", "$A=2", "x $B") == ["x 20"]


def test_a_definition_of_several_lines() -> None:
    lines = ("$A= \\", "priority 7 \\", "advert_int ${B}", "$B=3")
    assert expand(*lines, "$A") == ["priority 7", "advert_int 3"]
    # Only at the end of a line.
    assert expand(*lines, "x $A") == ["x priority 7", "advert_int 3"]
    assert expand(*lines, "x $A y") == ["x $A y"]


def test_nested_definitions_of_several_lines() -> None:
    assert expand("$A= \\", "a \\", "b", "$B= \\", "${A} \\", "c", "$B") == ["a", "b", "c"]


def test_conditional_definition() -> None:
    assert expand("@d1 $A=1", "@d2 $A=2", "x $A") == ["x 1"]
    assert expand("@d2 $A= \\", "priority 7 \\", "nopreempt", "x") == ["x"]


def test_a_definition_may_hold_a_condition() -> None:
    assert expand("$A=@d1 priority 7", "$A") == ["priority 7"]
    assert expand("$A=@d2 priority 7", "$A") == []


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("~SEQ(A, 3) x $A", ["1", "2", "3"]),
        ("~SEQ(A, -3) x $A", ["-1", "-2", "-3"]),
        ("~SEQ(A, 4, 6) x $A", ["4", "5", "6"]),
        ("~SEQ(A, 6, 4) x $A", ["6", "5", "4"]),
        # The step is the middle number.
        ("~SEQ(A, 0, 2, 5) x $A", ["0", "2", "4"]),
        ("~SEQ(A, 0x10, 021) x $A", ["16", "17"]),
        ("~SEQx(A, 8, 11) x $A", ["8", "9", "a", "b"]),
        ("~LST(A, p, q) x $A", ["p", "q"]),
        ("~LST({A,B},{p,q},{r}) x $A$B", ["$Aq", "r"]),
        ("~LST({A,B},{p,q},{r}) x ${A}${B}", ["pq", "r"]),
    ],
)
def test_repetition(line: str, values: list[str]) -> None:
    assert expand(line) == [f"x {value}" for value in values]


def test_a_definition_may_use_the_variable_of_a_repetition() -> None:
    assert expand("$n=before", "$A=x${n}", "~SEQ(n, 2) $A", "$A") == ["x1", "x2", "xbefore"]


def test_repetitions_nest_outermost_first() -> None:
    assert expand("~SEQ(A, 2) ~SEQ(B, 2) 10.0.${A}.$B") == ["10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2"]


def test_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEPBUS_TEST", "here")
    assert expand("x ${_ENV KEEPBUS_TEST} ${_INSTANCE} ${_PWD}") == ["x here d1 /etc/keepalived"]
    assert expand('x a${_HASH}b "${_BANG}"') == ['x a\\#b "!"']


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("@d1",), "a condition needs something"),
        (("$A=$B", "$B=$A", "x $A"), "without end"),
        (("$A=x${A}", "$A"), "without end"),
        (("$A= \\", "a \\", "$A", "$A"), "without end"),
        (("~SEQ(A)",), "one to three numbers"),
        (("~SEQ A 3 x",), "a repetition is"),
        (("~SEQ(A, 1, -1, 3) x",), "never gets from 1 to 3"),
        (("~SEQ(A, 1, 0, 3) x",), "never gets from 1 to 3"),
        (("~SEQ(A, one) x",), "a number expected"),
        (("~SEQx(A, -3) x",), "no negative numbers"),
        (("~SEQ(A, 1000000000) x",), "more than 100,000 lines"),
        (("~SEQ(A, 99999) ~SEQ(B, 99999) x",), "more than 100,000 lines"),
        (
            (
                "$A=" + "x" * 999,
                *(f"${c}={f'${{{b}}}' * 9}" for b, c in zip("ABC", "BCD", strict=True)),
                "$D",
            ),
            "characters",
        ),
        (("x ${_RANDOM 9 1}",), "no number from 9 to 1"),
        (("x ${_RANDOM 1 2 3}",), "at most two numbers"),
        (("x ${_RANDOM -1}",), "at most two numbers"),
    ],
)
def test_what_cannot_be_expanded(lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(LanguageError, match=why):
        expand(*lines)


def test_a_random_number_is_another_one_in_each_place_and_on_each_node_and_stays_there() -> None:
    def drawn(use: str, config_id: str = "d1") -> list[int]:
        return [int(line) for line in expand(*[use] * 300, config_id=config_id)]

    small = drawn("${_RANDOM 3 5}")
    assert set(small) == {3, 4, 5}
    assert small == drawn("${_RANDOM 3 5}")
    assert small != drawn("${_RANDOM 3 5}", "d2")
    whole = drawn("${_RANDOM}")
    assert 0 <= min(whole) < 3000
    assert 29_000 < max(whole) <= 32_767
    assert min(drawn("${_RANDOM 32000}")) >= 32_000


def test_in_a_file(tmp_path: Path) -> None:
    compiled = instance(
        tmp_path,
        "$ADDRESSES\n~SEQ(n, 3) $GARP ${n}   # three times the same: the last counts\n",
        before="$GARP=garp_master_repeat\n"
        "$ADDRESSES= \\ # two\n  virtual_ipaddress_excluded { \\\n  192.0.2.7 \\\n"
        "  192.0.2.8 dev $DEV\\\n }\n"
        "$DEV=eth5",
    )
    found = only_instance(compiled)
    assert [a.address for a in found.virtual_addresses_excluded] == ["192.0.2.7", "192.0.2.8"]
    assert found.virtual_addresses_excluded[1].interface == "eth5"
    assert found.garp.master_repeat == 3
    assert set(codes(compiled)) == {"given-twice"}


def test_findings_show_the_line_as_it_was_written(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "$A=foo bar\n  $A # here\n")
    place = find(compiled, "unknown-keyword").place
    assert (place.line, place.column, place.length, place.excerpt) == (2, 3, 9, "  $A # here")


def test_a_line_that_does_not_change_keeps_its_columns(tmp_path: Path) -> None:
    assert told(compile_text(tmp_path, "global_defs { foo $bar }")) == ["warning unknown-keyword 1:15"]


def test_an_error_is_told_at_the_line(tmp_path: Path) -> None:
    assert told(compile_text(tmp_path, "\n  ~SEQ(A) x\n")) == ["error language 2:3"]


def test_definitions_count_in_included_files_and_after_them(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("$B=${A}-b\n", encoding="utf-8")
    text = "$A=a\ninclude more.conf\nglobal_defs {\n router_id $B\n}\n"
    compiled = compile_text(tmp_path, text)
    assert compiled.configuration is not None
    assert compiled.configuration.global_defs.router_id == "a-b"


def test_two_nodes_one_file(tmp_path: Path) -> None:
    text = """\
vrrp_instance VI_1 {
    @d1 state MASTER
    @^d1 state BACKUP
    @d1  priority 100
    @d2  priority 90
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.1
    }
}
"""
    (tmp_path / "keepalived.conf").write_text(text, encoding="utf-8")
    for name, state, priority in (("d1", "MASTER", 100), ("d2", "BACKUP", 90)):
        compiled = compile_file(tmp_path / "keepalived.conf", config_id=name)
        assert compiled.diagnostics == ()
        found = only_instance(compiled)
        assert (found.state, found.priority) == (state, priority)


def test_missing_braces_are_found_with_definitions_too(tmp_path: Path) -> None:
    text = "$OPEN=global_defs {\n$OPEN\nrouter_id a\nvirtual_server 192.0.2.1 80 {\n}\n"
    finding = find(compile_text(tmp_path, text), "missing-brace")
    assert (finding.place.line, finding.place.excerpt) == (2, "$OPEN")


def test_a_secret_definition_is_masked(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "$auth_pw=hunter2 $auth_pw\n\xa0$PASSWORD=hunter2 ~\nx $auth_pw\n")
    assert "hunter2" not in repr(compiled)
