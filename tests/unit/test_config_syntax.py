"""Lines, words, comments, quotes, braces, includes (features 3.1 to 3.8)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_text import (
    INSTANCE,
    codes,
    compile_text,
    find,
    instance,
    is_error,
    only_instance,
    told,
    underlined,
)

from keepbus.config import include
from keepbus.config.compiler import Compiled, compile_file
from keepbus.config.lexer import Kind, scan
from keepbus.config.source import MOST_OCTETS, MOST_STATEMENTS


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("priority 100", ["priority", "100"]),
        ("\tpriority\t 100 \r", ["priority", "100"]),
        ("priority 100 # first", ["priority", "100"]),
        ("priority 100 ! first", ["priority", "100"]),
        ("! nothing", []),
        (r"router_id a\#b\!c", ["router_id", "a#b!c"]),
        ('router_id "a # b ! c"', ["router_id", "a # b ! c"]),
        ('router_id "a {b}"', ["router_id", "a {b}"]),
        ('notify "/x \\"b c\\"" root', ["notify", '/x \\"b c\\"', "root"]),
        ('router_id one"two"three', ["router_id", "one", "two", "three"]),
        ('router_id ""', ["router_id", ""]),
        ("router_id\xa0\u3000a", ["router_id", "a"]),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert [token.text for token in scan(line).tokens] == words


def test_braces_stand_alone() -> None:
    assert [token.kind for token in scan("a{b}c").tokens] == [
        Kind.WORD,
        Kind.OPEN,
        Kind.WORD,
        Kind.CLOSE,
        Kind.WORD,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "global_defs { router_id one }",
        "global_defs\n{\nrouter_id one\n}",
        "global_defs\n\n# between\n{ router_id one\n} ! end",
        "global_defs{router_id one}",
        "global_defs { ! comment }\nrouter_id one\n}",
        "\ufeffglobal_defs {\r\n\trouter_id one\r\n}\r\n",
    ],
)
def test_where_braces_may_stand(tmp_path: Path, text: str) -> None:
    compiled = compile_text(tmp_path, text)
    assert compiled.diagnostics == ()
    assert compiled.configuration is not None
    assert compiled.configuration.global_defs.router_id == "one"


def test_an_empty_file_is_clean(tmp_path: Path) -> None:
    assert compile_text(tmp_path, "").exit_status == 0


@pytest.mark.parametrize("word", ["global_defs", "foo"])
def test_blocks_in_blocks_without_end_cost_no_time(tmp_path: Path, word: str) -> None:
    compiled = compile_text(tmp_path, f"{word} {{\n" * 400_000)
    assert is_error(compiled, "too-deep")
    assert find(compiled, "too-deep").place.line == 33


def test_surplus_brace(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\n}\n  }\nvrrp_instance")
    assert told(compiled)[0] == "error surplus-brace 3:3"


def test_brace_without_keyword(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "{\n router_id one\n}\nglobal_defs {\n}\n{\n}\n")
    assert told(compiled) == ["error stray-brace 1:1"]
    assert find(compiled, "stray-brace").more_lines == (6,)


def test_unmatched_quote(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, 'global_defs {\nrouter_id "one }\n}')
    assert told(compiled) == ["error unmatched-quote 2:11"]
    permitted = compile_text(tmp_path, 'global_defs {\nrouter_id "one }\n}', permissive=True)
    assert permitted.configuration is not None
    assert permitted.configuration.global_defs.router_id == "one }"


def test_a_comment_that_begins_within_a_word_is_told(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\nrouter_id one#two\n}")
    assert told(compiled) == ["warning comment-in-word 2:14"]


@pytest.mark.parametrize(
    ("text", "brace", "noticed"),
    [
        # A block of the top level within a block.
        ("global_defs {\n router_id a\nvirtual_server 192.0.2.1 80 {\n}\n", (1, 13), 3),
        # A keyword of the enclosing block within a block.
        ("vrrp_instance A {\n authentication {\n  auth_type PASS\n priority 7\n}\n", (2, 17), 4),
        # A keyword among values.
        ("global_defs {\n notification_email {\n  a@b\n router_id a\n}\n", (2, 21), 4),
    ],
)
def test_the_block_that_lacks_its_brace_is_found(
    tmp_path: Path, text: str, brace: tuple[int, int], noticed: int
) -> None:
    finding = find(compile_text(tmp_path, text), "missing-brace")
    assert (finding.place.line, finding.place.column) == brace
    assert finding.note is not None
    assert finding.note.place.line == noticed


def test_a_wrong_guess_is_taken_back(tmp_path: Path) -> None:
    # The instance really stands in global_defs, which is closed; the brace is missing elsewhere.
    text = f"global_defs {{\n{INSTANCE.replace('@', '')}}}\nvirtual_server 192.0.2.1 80 {{\n protocol TCP\n"
    compiled = compile_text(tmp_path, text)
    finding = find(compiled, "missing-brace")
    assert finding.place.excerpt.startswith("virtual_server")
    assert find(compiled, "unknown-keyword").help == "it belongs to the top level"
    assert "surplus-brace" not in codes(compiled)


@pytest.mark.parametrize(
    "line", ["skip_check_adv_addr // x", "nopreempt //", "mcast_src_ip 192.0.2.9 // x // y"]
)
def test_slashes_after_what_a_keyword_needs(tmp_path: Path, line: str) -> None:
    assert codes(instance(tmp_path, line)) == ["slash-comment"]


def test_what_follows_a_missing_brace_is_read_where_it_belongs(tmp_path: Path) -> None:
    text = "authentication {\n auth_type PASS\n auth_pass x\n nopreempt\n"
    compiled = instance(tmp_path, text, permissive=True)
    assert codes(compiled) == ["missing-brace"]
    found = only_instance(compiled)
    assert found.nopreempt
    assert found.authentication is not None


def test_a_misplaced_keyword_in_a_balanced_file_closes_nothing(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\n priority 7\n router_id a\n}\n")
    assert told(compiled) == ["error unknown-keyword 2:2"]
    assert find(compiled, "unknown-keyword").help == "it belongs to `vrrp_instance`"


def test_an_unknown_block_is_ignored_whole(tmp_path: Path) -> None:
    compiled = instance(tmp_path, "whatever {\n priority 7\n }\n")
    assert told(compiled) == ["warning unknown-keyword 10:1"]
    assert only_instance(compiled).priority == 100


def test_a_dollar_without_definition_stays_as_it_is(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\n router_id a$b${c}\n}")
    assert compiled.configuration is not None
    # The braces end the word.
    assert compiled.configuration.global_defs.router_id == "a$b$"


class TestInclude:
    def write(self, folder: Path, **files: str) -> None:
        for name, text in files.items():
            path = folder / f"{name.replace('__', '/')}.conf"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def router_id(self, compiled: Compiled) -> str:
        assert compiled.configuration is not None, told(compiled)
        return compiled.configuration.global_defs.router_id

    def test_relative_to_the_including_file(self, tmp_path: Path) -> None:
        self.write(tmp_path, d__one="include two.conf\n", d__two="global_defs {\n router_id deep\n}\n")
        assert self.router_id(compile_text(tmp_path, "include d/one.conf")) == "deep"

    def test_within_a_block_and_in_glob_order(self, tmp_path: Path) -> None:
        self.write(tmp_path, d__b="router_id b\n", d__a="router_id a\n")
        compiled = compile_text(tmp_path, "global_defs {\n include d/*.conf\n}")
        assert self.router_id(compiled) == "b"
        finding = find(compiled, "given-twice")
        assert finding.place.file.endswith("d/b.conf")

    def test_braces(self, tmp_path: Path) -> None:
        self.write(tmp_path, d__b="router_id b\n", d__a="router_id a\n")
        compiled = compile_text(tmp_path, "global_defs {\n include d/{b,a}.conf # both\n}")
        assert self.router_id(compiled) == "a"

    def test_expansion(self) -> None:
        assert sorted(set(include.expand("a{b,c{d,e}}f"))) == ["abf", "acdf", "acef"]
        assert include.expand("x") == ["x"]
        assert include.expand("{a,b}{1,2}") == ["a1", "a2", "b1", "b2"]

    def test_loop(self, tmp_path: Path) -> None:
        self.write(tmp_path, one="include two.conf\n", two="include one.conf\n")
        compiled = compile_text(tmp_path, "include one.conf")
        assert is_error(compiled, "include-loop")

    def test_many_small_files_that_include_each_other(self, tmp_path: Path) -> None:
        filler = "# filler\n" * 2000
        for level in range(9):
            body = f"include l{level + 1}.conf\n" * 10 + filler
            self.write(tmp_path, **{f"l{level}": body})
        self.write(tmp_path, l9=filler)
        compiled = compile_text(tmp_path, "include l0.conf")
        assert is_error(compiled, "too-large")

    # Features 3.7, the table: which variant makes an error of what.
    @pytest.mark.parametrize(
        ("target", "errors"),
        [
            ("absent.conf", {"includem", "includew", "includea"}),
            ("absent*.conf", {"includew", "includea"}),
            ("{there,absent}.conf", {"includeb", "includea"}),
            ("folder", {"includer", "includem", "includew", "includeb", "includea"}),
            ("script.sh", {"includer", "includem", "includew", "includeb", "includea"}),
        ],
    )
    @pytest.mark.parametrize("variant", include.CHECKS)
    def test_checks(self, tmp_path: Path, variant: str, target: str, errors: set[str]) -> None:
        self.write(tmp_path, there="")
        (tmp_path / "folder").mkdir()
        (tmp_path / "script.sh").write_text("")
        (tmp_path / "script.sh").chmod(0o755)
        compiled = compile_text(tmp_path, f"{variant} {target}\n")
        assert is_error(compiled, "include") is (variant in errors)

    def test_a_finding_in_an_included_file_names_it(self, tmp_path: Path) -> None:
        self.write(tmp_path, sub="\n  router_idd x\n")
        compiled = compile_text(tmp_path, "global_defs {\ninclude sub.conf\n}")
        place = find(compiled, "unknown-keyword").place
        assert (place.file, place.line, place.column) == (str(tmp_path / "sub.conf"), 2, 3)


NOBODY = 65534


class TestFilesThatAreNone:
    def refused(self, path: Path, code: str) -> str:
        compiled = compile_file(path)
        assert compiled.exit_status == 2
        (finding,) = compiled.diagnostics
        assert finding.code == code
        assert finding.place.line == 0
        return finding.text

    def test_missing(self, tmp_path: Path) -> None:
        assert "No such file" in self.refused(tmp_path / "absent", "unreadable")

    def test_directory(self, tmp_path: Path) -> None:
        assert "is a directory" in self.refused(tmp_path, "unreadable")

    def test_fifo_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        assert "not a regular file" in self.refused(tmp_path / "fifo", "unreadable")

    def test_unreadable(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text("")
        path.chmod(0)
        if os.geteuid():
            assert "Permission denied" in self.refused(path, "unreadable")
            return
        os.seteuid(NOBODY)  # root reads everything
        try:
            assert "Permission denied" in self.refused(path, "unreadable")
        finally:
            os.seteuid(0)

    def test_name_with_nul(self) -> None:
        assert "null" in self.refused(Path("a\0b"), "unreadable")

    def test_binary(self, tmp_path: Path) -> None:
        (tmp_path / "bin").write_bytes(b"global_defs {\n\x7fELF\0\0")
        assert "line 2 holds a NUL octet" in self.refused(tmp_path / "bin", "not-text")

    def test_not_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "latin").write_bytes(b"# first\n# caf\xe9\n")
        assert "0xe9 at line 2, octet 6" in self.refused(tmp_path / "latin", "not-utf-8")
        assert compile_file(tmp_path / "latin", permissive=True).exit_status == 1

    def test_large(self, tmp_path: Path) -> None:
        path = tmp_path / "large"
        path.touch()
        os.truncate(path, 100 << 20)
        assert f"{MOST_OCTETS:,}" in self.refused(path, "too-large")

    def test_too_many_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "lines"
        path.write_bytes(b"\n" * (MOST_STATEMENTS + 1))
        assert "lines and braces" in self.refused(path, "too-large")

    def test_one_endless_line(self, tmp_path: Path) -> None:
        path = tmp_path / "line"
        path.write_bytes(b"a " * 1_000_000)
        assert "line 1 of" in self.refused(path, "too-large")


def test_a_line_that_keepalived_would_drop(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, f'global_defs {{\nrouter_id "{"x" * 1024}"\n}}')
    assert codes(compiled) == ["long-line"]


def test_columns_count_characters(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, 'global_defs { "优先级é" router_idd 优先级\n}')
    finding = compiled.diagnostics[0]
    assert (finding.place.column, underlined(finding)) == (15, '"优先级é"')
