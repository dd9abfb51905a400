"""Words of `global_defs` that change how the rest of the file is read or meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_text import INSTANCE, codes, compile_text, find

from keepbus.config.diagnostics import Severity
from keepbus.config.model.notify import NotifySection


def missing(folder: Path, options: str | None, name: str = "nothing.conf") -> str:
    """How grave it is that an include finds no file."""
    check = "" if options is None else f"include_check {options}"
    text = f"global_defs {{\n{check}\n}}\ninclude {name}\n" + INSTANCE.replace("@", "")
    return str(find(compile_text(folder, text), "include").severity)


@pytest.mark.parametrize(
    ("options", "name", "severity"),
    [
        (None, "nothing.conf", "warning"),
        ("", "nothing.conf", "error"),
        ("", "nothing*.conf", "error"),
        ("match", "nothing.conf", "error"),
        ("match", "nothing*.conf", "warning"),
        ("wildcard_match", "nothing*.conf", "error"),
        ("match -match", "nothing.conf", "warning"),
        ("brace_match", "{nothing,none}.conf", "error"),
    ],
)
def test_include_check(tmp_path: Path, options: str | None, name: str, severity: str) -> None:
    """Features 3.7; the manual's `readable` is the code's `read`."""
    if name.startswith("{"):
        (tmp_path / "none.conf").write_text("", encoding="utf-8")
    assert missing(tmp_path, options, name) == severity


def test_include_check_of_readable_and_what_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert missing(tmp_path, "readable", "folder") == "error"
    assert missing(tmp_path, "read", "folder") == "error"
    text = "global_defs {\ninclude_check redable\n}\n" + INSTANCE.replace("@", "")
    assert codes(compile_text(tmp_path, text)) == ["bad-value"]


def test_include_check_ends_with_the_file_in_which_it_stands(tmp_path: Path) -> None:
    """`+` adds to what was in the including file, which it does not change."""
    (tmp_path / "inner.conf").write_text(
        "global_defs {\ninclude_check +wildcard_match\n}\ninclude none*.conf\ninclude none.conf\n",
        encoding="utf-8",
    )
    text = "global_defs {\ninclude_check match\n}\ninclude inner.conf\ninclude none*.conf\n"
    compiled = compile_text(tmp_path, text + INSTANCE.replace("@", ""))
    found = {(Path(each.place.file).name, each.place.excerpt, each.severity) for each in compiled.diagnostics}
    assert found == {
        ("inner.conf", "include none*.conf", Severity.ERROR),
        ("inner.conf", "include none.conf", Severity.ERROR),
        ("keepalived.conf", "include none*.conf", Severity.WARNING),
    }


SCRIPTS = "notify_master /x/one\nnotify_backup /x/two root\nnotify_fault /x/three root wheel"


def section(folder: Path, defs: str) -> NotifySection:
    compiled = compile_text(folder, f"global_defs {{\n{defs}\n}}\n" + INSTANCE.replace("@", SCRIPTS))
    assert compiled.configuration is not None
    return compiled.configuration.notify


def test_set_supplementary_groups(tmp_path: Path) -> None:
    """Features 11: as if each script's group began with `:`."""
    notify = section(tmp_path, "script_user nobody\nset_supplementary_groups")
    (target,) = notify.targets
    scripts = (target.notify_master, target.notify_backup, target.notify_fault)
    assert [(each.user, each.group) for each in scripts if each] == [
        ("", ":"),
        ("root", ":"),
        ("root", ":wheel"),
    ]
    assert notify.script_user == "nobody::"
    assert section(tmp_path, "script_user nobody :nogroup").script_user == "nobody::nogroup"


def test_random_seed(tmp_path: Path) -> None:
    compiled = compile_text(tmp_path, "global_defs {\nrandom_seed 7\n}\n" + INSTANCE.replace("@", ""))
    assert compiled.configuration is not None
    assert compiled.configuration.checker.random_seed == 7


def test_directories_of_iproute2(tmp_path: Path) -> None:
    """The administrator's names count before the vendor's, and the next file has the usual ones again."""
    for name, text in (("usr", "7 red\n8 blue\n"), ("etc", "9 blue\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rt_tables").write_text(text, encoding="utf-8")
    routes = "virtual_routes {\n10.1.0.0/16 dev eth0 table red\n10.2.0.0/16 dev eth0 table blue\n}"
    defs = f"global_defs {{\niproute_usr_dir {tmp_path}/usr\niproute_etc_dir {tmp_path}/etc\n}}\n"
    text = INSTANCE.replace("@", routes)
    compiled = compile_text(tmp_path, defs + text)
    assert compiled.configuration is not None, compiled.diagnostics
    (instance,) = compiled.configuration.vrrp.instances
    assert [each.table for each in instance.virtual_routes] == [7, 9]
    assert codes(compile_text(tmp_path, text)) == ["bad-value", "bad-value"]
