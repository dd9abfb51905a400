"""How findings look, and what they never show (conformance A7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config_text import INSTANCE, codes, compile_text, find, instance, told, underlined

from keepbus.cli.findings import as_json, render
from keepbus.cli.terminal import Paint
from keepbus.config.compiler import Compiled
from keepbus.config.diagnostics import MOST_FINDINGS
from keepbus.config.source import masked


def text(compiled: Compiled, colour: bool = False) -> list[str]:
    return list(render(compiled, Paint(colour)))


def test_a_finding_looks_like_a_good_compilers(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "virtual_server 192.0.2.1 80 {\n\tpresistence_timeout 5\n}\n")
    file = tmp_path / "keepalived.conf"
    title = "unknown keyword `presistence_timeout` in `virtual_server`; it is ignored [unknown-keyword]"
    shown = text(compiled)
    begin = shown.index(f"{file}:2:2: warning: {title}")
    assert shown[begin + 1 : begin + 4] == [
        "   2 |     presistence_timeout 5",
        "     |     ^^^^^^^^^^^^^^^^^^^",
        "     = help: did you mean `persistence_timeout`?",
    ]


def test_the_caret_stands_under_the_word_after_wide_characters(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, 'global_defs { router_id "优先级e\u0301" } 级\n')
    # 优先级 takes six columns, the combining accent none.
    line, caret = text(compiled)[1:3]
    assert line == '   1 | global_defs { router_id "优先级e\u0301" } 级'
    assert caret == f"     | {' ' * (len('global_defs { router_id ') + 2 + 6 + 1 + 3)}^^"
    assert told(compiled) == ["warning unknown-keyword 1:35"]


def test_what_a_terminal_would_obey_is_not_written(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "bad\x1b[2J\x07 \x9b1m\n")
    assert compiled.diagnostics
    for line in text(compiled):
        assert line.isprintable(), line


def test_colour_only_when_asked_for(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "foo\n")
    assert "\x1b" not in "".join(text(compiled))
    assert "\x1b[1;33mwarning:\x1b[0m" in text(compiled, colour=True)[0]


def test_a_long_line_is_clipped_around_the_word(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, f"global_defs {{ router_id {'x' * 400} }} foo # {'y' * 400}")
    place = find(compiled, "unknown-keyword").place
    assert len(place.excerpt) < 200
    assert underlined(find(compiled, "unknown-keyword")) == "foo"
    assert place.column == 428


def test_the_same_on_many_lines_is_one_finding(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "foo\n" * 500)
    assert codes(compiled) == ["unknown-keyword"]
    (finding,) = compiled.diagnostics
    assert (finding.place.line, finding.more) == (1, 499)
    assert "     = and 499 more lines: 2, 3, 4, 5, 6, 7, 8, 9, …" in text(compiled)


def test_the_same_on_one_more_line(tmp_path: Path) -> None:
    assert "     = and 1 more line: 3" in text(compile_text(tmp_path, "foo\n\nfoo\n"))


def test_a_file_of_garbage_has_an_end(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "".join(f"foo{number}\n" for number in range(2 * MOST_FINDINGS)))
    assert len(compiled.diagnostics) == MOST_FINDINGS + 1
    assert compiled.diagnostics[-1].text == f"{MOST_FINDINGS} more findings are not shown"


def test_findings_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    # Found in the order: braces, blocks, derived rules.
    compiled = compile_text(tmp_path, "vrrp_instance A {\nfoo 1\n}\nbar\n}\n")
    lines = [finding.place.line for finding in compiled.diagnostics]
    assert lines == sorted(lines)
    assert len(lines) > 4


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (
            INSTANCE.replace("@", ""),
            "1 VRRP instance, 0 virtual servers, 0 distinct checks; nothing to complain of",
        ),
        ("foo\n", "0 VRRP instances, 0 virtual servers, 0 distinct checks; 1 warning"),
        (
            "vrrp_instance A {\n",
            "4 errors and 1 warning; the file can't be used; "
            "--permissive would turn every error into a warning",
        ),
        ("@x\n", "1 error; the file can't be used"),
    ],
)
def test_the_last_line_sums_up(tmp_path: Path, content: str, end: str) -> None:
    assert text(compile_text(tmp_path, content))[-1] == end


def test_json(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\n routerid x\n}\nvrrp_instance A {\n")
    objects = json.loads(as_json(compiled.diagnostics))
    assert [item["line"] for item in objects] == sorted(item["line"] for item in objects)
    first = objects[0]
    assert first == {
        "file": str(tmp_path / "keepalived.conf"),
        "line": 2,
        "column": 2,
        "length": 8,
        "excerpt": " routerid x",
        "severity": "warning",
        "code": "unknown-keyword",
        "text": "unknown keyword `routerid` in `global_defs`; it is ignored",
        "help": "did you mean `router_id`?",
        "lenient": False,
        "more": 0,
        "more_lines": [],
        "note": None,
    }
    brace = next(item for item in objects if item["code"] == "missing-brace")
    assert brace["note"]["line"] == 4
    assert brace["lenient"]


class TestSecrets:
    @pytest.mark.parametrize(
        "line",
        [
            "auth_pass hunter2",
            'auth_pass "hunter2 hunter2"',
            "auth_pass hunter2 hunter2",
            "auth_pass\xa0hunter2 // hint",
            "auth_pass hunter2#hunter2",
            'auth_pass "hunter2 hunter2',
            "auth_pass hunter2{hunter2}hunter2",
            "auth_type PASS auth_pass hunter2",
            "auth_pas hunter2",
            "auth_psas hunter2",
            "authpass hunter2",
            "auth_password hunter2",
            "password hunter2",
            "authentication { auth_type PASS auth_pass hunter2 }",
        ],
    )
    def test_lines_with_passwords_are_masked(self, tmp_path: Path, line: str) -> None:
        assert "hunter2" not in masked(line)
        assert len(masked(line)) == len(line)
        block = line if "{ auth" in line else f"authentication {{\n{line}\nauth_type PASSWORD x\nfoo }}"
        compiled = instance(tmp_path, f"{block}\nauth_pass hunter2")
        assert compiled.diagnostics
        shown = "\n".join([*text(compiled), as_json(compiled.diagnostics), repr(compiled)])
        if "{hunter2}" not in line:
            assert "hunter2" not in shown

    def test_what_is_none_stays(self) -> None:
        for line in (
            "auth_type PASS",
            "path /passive key",
            "passive",
            "auth_type AH x",
            "notify /bin/pass a",
        ):
            assert masked(line) == line
