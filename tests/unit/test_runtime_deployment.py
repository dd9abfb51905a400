"""Templates of deploy/ become supervisord's files; an operator's file takes the place of ours."""

from __future__ import annotations

import configparser
import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from keepbus.runtime import rundir
from keepbus.runtime.deployment import Deployment, DeploymentError, render, templates


def deployment(tmp_path: Path, *, confined: bool = True, urgent: bool = True) -> Deployment:
    run_dir = tmp_path / "run"
    (run_dir / "supervisor").mkdir(parents=True)
    overrides = tmp_path / "overrides"
    overrides.mkdir()
    return Deployment(
        run_dir=run_dir, confined=confined, urgent=urgent, service_options="--log-level info",
        vrrp_options="--keep-addresses", ipvs_options="--driver dry-run", overrides=overrides,
    )  # fmt: skip


def programs(made: Deployment) -> dict[str, configparser.SectionProxy]:
    found = {}
    for path in (made.run_dir / "supervisor" / "programs").glob("*.conf"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path, encoding="utf-8")
        for section in parser.sections():
            found[section.removeprefix("program:")] = parser[section]
    return found


def test_every_service_has_a_program_and_they_start_in_order(tmp_path: Path) -> None:
    made = deployment(tmp_path)
    main = render(made)
    assert f"file={made.run_dir}/supervisor/socket" in main.read_text(encoding="utf-8")
    found = programs(made)
    names = sorted(found, key=lambda name: found[name].getint("priority"))
    assert tuple(name for name in names if name not in rundir.STANDBYS) == rundir.SERVICES
    # supervisord stops in reverse order: the standby is gone before its service ends.
    assert names.index("vrrp-standby") == names.index("vrrp") + 1
    for program in found.values():
        assert program["autorestart"] == "true"
        assert program.getint("startsecs") == 0
        assert program.getint("startretries") > 10**6
        assert "${" not in program["command"]


def test_options_and_privileges_go_where_they_belong(tmp_path: Path) -> None:
    made = deployment(tmp_path)
    render(made)
    found = {name: program["command"] for name, program in programs(made).items()}
    assert found["vrrp"].endswith("--log-level info --standby --keep-addresses")
    assert found["vrrp-standby"] == found["vrrp"]
    assert found["ipvs"].endswith("--log-level info --driver dry-run")
    assert "--bounding-set=-all,+net_admin,+net_raw,+sys_nice " in found["vrrp"]
    assert "--bounding-set=-all " in found["audit"]
    assert "setpriv" not in found["checker"]  # it gives them up by itself, its scripts' process does not
    assert [name for name in found if found[name].startswith("chrt --rr 1 ")] == [
        name for name in found if name in ("vrrp", "vrrp-standby", "watchdog")
    ]


def test_r_f23_what_must_be_on_time_is_spared_when_memory_runs_out(tmp_path: Path) -> None:
    made = replace(deployment(tmp_path), spared=True)
    render(made)
    found = {name: program["command"] for name, program in programs(made).items()}
    spared = [name for name in found if found[name].startswith("chrt --rr 1 choom -n -900 -- setpriv ")]
    assert sorted(spared) == ["vrrp", "vrrp-standby", "watchdog"]
    assert not [name for name in found if "choom" in found[name] and name not in spared]
    render(replace(made, urgent=False, confined=False))
    assert programs(made)["vrrp"]["command"].startswith("choom -n -900 -- ")


def test_without_setpriv_and_chrt_nothing_of_them_is_left(tmp_path: Path) -> None:
    made = deployment(tmp_path, confined=False, urgent=False)
    render(made)
    for program in programs(made).values():
        assert not {"setpriv", "chrt", "choom"} & set(program["command"].split())


def test_an_operators_file_takes_the_place_of_ours_and_others_are_added(tmp_path: Path) -> None:
    made = deployment(tmp_path)
    (made.overrides / "checker.conf").write_text("[program:checker]\ncommand=mine ${run_dir}\n")
    (made.overrides / "exporter.conf").write_text("[program:exporter]\ncommand=exporter\n")
    render(made)
    found = programs(made)
    assert found["checker"]["command"] == f"mine {made.run_dir}"
    assert "exporter" in found
    (made.overrides / "exporter.conf").unlink()
    render(made)
    assert "exporter" not in programs(made), "what is gone is gone at the next start"


def test_several_checkers_share_the_targets(tmp_path: Path) -> None:
    made = replace(deployment(tmp_path), checkers=3)
    render(made)
    found = programs(made)
    names = ("checker", "checker-2", "checker-3")
    assert [found[name]["command"][-11:] for name in names] == ["--share 1/3", "--share 2/3", "--share 3/3"]
    (made.overrides / "checker.conf").write_text("[program:checker]\ncommand=mine\n")
    render(made)
    assert "checker-2" not in programs(made), "somebody else's checker shares with none of ours"


def test_a_node_may_run_without_a_standby(tmp_path: Path) -> None:
    made = replace(deployment(tmp_path), standby=False)
    render(made)
    found = programs(made)
    assert "vrrp-standby" not in found
    assert found["vrrp"]["command"].endswith("--log-level info --keep-addresses")


def test_somebody_elses_vrrp_has_no_standby_of_ours(tmp_path: Path) -> None:
    made = deployment(tmp_path)
    (made.overrides / "vrrp.conf").write_text("[program:vrrp]\ncommand=mine\n")
    render(made)
    assert "vrrp-standby" not in programs(made)
    (made.overrides / "vrrp-standby.conf").write_text("[program:vrrp-standby]\ncommand=mine too\n")
    render(made)
    assert programs(made)["vrrp-standby"]["command"] == "mine too"


def test_an_unknown_placeholder_is_refused_with_what_there_is(tmp_path: Path) -> None:
    made = deployment(tmp_path)
    (made.overrides / "checker.conf").write_text("[program:checker]\ncommand=${pythn}\n")
    with pytest.raises(DeploymentError, match=r"checker.conf asks for \$\{pythn\}; there are .*python"):
        render(made)


def test_a_path_with_space_and_percent_sign_stays_whole(tmp_path: Path) -> None:
    made = deployment(tmp_path / "50% of it")
    parser = configparser.ConfigParser()  # %% is a percent sign to it, as to supervisord
    parser.read(render(made), encoding="utf-8")
    assert parser["unix_http_server"]["file"] == f"{made.run_dir}/supervisor/socket"
    command = programs(made)["checker"]["command"].replace("%%", "%")
    assert str(made.run_dir) in shlex.split(command)


def test_templates_are_found_in_the_repository() -> None:
    assert (templates() / "programs" / "vrrp.conf").is_file()


def test_the_run_directory_can_be_held_once(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    rundir.make(run_dir)
    with pytest.raises(rundir.RunDirectoryError, match=r"a node runs in .* \(pid \d+\)"):
        rundir.make(run_dir)
    # Whoever may pass into bus/listen reads; nothing else is open to others.
    assert (run_dir / "bus").stat().st_mode & 0o777 == 0o751
    assert (run_dir / "bus" / "speak").stat().st_mode & 0o777 == 0o750
    assert (run_dir / "supervisor").stat().st_mode & 0o777 == 0o700


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rundir.RunDirectoryError, match="characters too long"):
        rundir.make(tmp_path / ("x" * 100))


def test_a_group_that_is_given_the_listening_directory_gets_there_and_nowhere_else(tmp_path: Path) -> None:
    """Decision 0401, whatever the umask of who starts the node."""
    before = os.umask(0o077)
    try:
        os.close(rundir.make(tmp_path / "run"))
        (tmp_path / "own").mkdir(mode=0o700)
        os.close(rundir.make(tmp_path / "own"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o751
    assert modes.pop("bus") == 0o751
    assert not any(mode & 0o027 for mode in modes.values())
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700, "an operator's own mode was changed"


def test_a_run_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(rundir.RunDirectoryError, match="name a run directory that this user may write"):
        rundir.make(tmp_path / "file" / "run")
