"""The same text through keepalived's own parser and through keepbus's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keepbus.config.compiler import compile_file

KEEPALIVED = shutil.which("keepalived", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(
    KEEPALIVED is None,
    reason="no keepalived here, so its parser is not compared with ours; install keepalived",
)
COMPLETE = Path(__file__).parent / "data" / "complete.conf"

# Each line ends up as unknown keywords, which both name: so the expansion of a line can be seen.
LANGUAGE = r"""
$A=seven
$B=${A}x
$A=eight
a1_$A
a2_${A}
a3${B}
a4_$A.5
a5_$A,5
a6_$none_${A}
~SEQ(N, 3) b1_${N}
~SEQ(N, -2) b2_${N}
~SEQ(N, 0, 2, 5) b3_${N}
~SEQ(N, 6, 4) b4_${N}
~SEQ(N, 0x10, 021) b5_${N}
~SEQx(N, 8, 11) b6_${N}
~SEQ(P, 2) ~SEQ(Q, 2) b7_${P}_${Q}
~SEQ(P, 2) ~SEQ(Q, ${P}, 3) b8_${P}_${Q}
~LST(N, p, q) c1_${N}
~LST({M,N},{p,q},{r}) c2_${M}_${N}_
~LST({M,N},{p,q},{r}) c3_$M$N
$L= \
 d1 x \
 d2 y
$L
d3${L}
$G=e1_${n}
~SEQ(n, 2) $G
@node f1
@^node f2
@other f3
@^other   f4
$H=@node f5
$H
$I=@other f6
$I
$J=~SEQ(Q, 2) f7_${Q}
$J
@node $K=1
f8_$K
f9_${_INSTANCE}
$R = 4
g1 # comment
g2!comment
"g3 x"y
g4 "a # b ! c" z
   g5	x
# nothing
"""


def keepalived(path: Path) -> subprocess.CompletedProcess[str]:
    """Run keepalived's configuration test."""
    assert KEEPALIVED is not None
    return subprocess.run(
        [KEEPALIVED, "--config-test", "--use-file", str(path), "--config-id", "node"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_language_expands_alike(tmp_path: Path) -> None:
    path = tmp_path / "keepalived.conf"
    path.write_text(LANGUAGE.replace(r"\t", "\t"), encoding="utf-8")
    # Its first pass over the text names no file.
    theirs = re.findall(r"^\(Line (\d+)\) Unknown keyword '(.*)'$", keepalived(path).stderr, re.MULTILINE)
    ours = [
        (str(line), found.text.split("`")[1])
        for found in compile_file(path, config_id="node").diagnostics
        if found.code == "unknown-keyword"
        for line in (found.place.line, *found.more_lines)
    ]
    assert len(theirs) > 50
    assert sorted(ours) == sorted(theirs)


def test_what_keepbus_takes_without_a_word_keepalived_takes_too() -> None:
    """Every supported keyword that keepalived 2.2 knows is in this file."""
    ours = compile_file(COMPLETE)
    assert {found.code for found in ours.diagnostics} == {"obsolete"}
    theirs = keepalived(COMPLETE)
    assert theirs.returncode == 0, theirs.stderr


@pytest.mark.parametrize(
    "name",
    [
        "virtual_router_id 256",
        "priority 256",
        "advert_int 1.5",
        "state SLAVE",
        "version 4",
        "mcast_src_ip 192.0.2.300",
        "presistence_timeout 5",
        "down_timer_adverts 0",
        "preempt_delay 1001",
    ],
)
def test_what_keepalived_complains_of_keepbus_complains_of(tmp_path: Path, name: str) -> None:
    text = COMPLETE.read_text(encoding="utf-8").replace("    nopreempt\n", f"    {name}\n")
    path = tmp_path / "keepalived.conf"
    path.write_text(text, encoding="utf-8")
    assert keepalived(path).returncode != 0
    line = text.splitlines().index(f"    {name}") + 1
    assert line in {found.place.line for found in compile_file(path).diagnostics}
