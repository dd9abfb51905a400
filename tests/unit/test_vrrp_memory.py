"""The memory file: what a process that was killed at any moment leaves behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from keepbus_vrrp.memory import Memory

from keepbus.testing import namespaces


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vrrp" / "memory"


COUNTERS = (1, 2, 3, 4, 5, 6)


def test_a_successor_reads_the_last_record_lease_and_counters(path: Path) -> None:
    memory = Memory(path)
    for number in range(5):
        memory.write("eth0/IPv4/51", f"record {number}", holds_lease=True)
    memory.renew("eth0/IPv4/51", 1000, 3000)
    memory.count("eth0/IPv4/51", COUNTERS)
    assert Memory(path).read() == [("record 4", 1000, 3000, COUNTERS)]


def test_a_record_without_lease_ends_the_lease(path: Path) -> None:
    memory = Memory(path)
    memory.renew("a", 1000, 3000)
    memory.write("a", "master", holds_lease=True)
    assert memory.read() == [("master", 1000, 3000, (0,) * 6)]
    memory.write("a", "backup", holds_lease=False)
    assert memory.read() == [("backup", 1000, 0, (0,) * 6)]


def test_a_write_that_was_cut_off_leaves_the_record_before(path: Path, tmp_path: Path) -> None:
    """The state of the file after each octet of a write, as a kill -9 may leave it."""
    memory = Memory(path)
    memory.write("a", "first", holds_lease=True)
    memory.write("a", "second", holds_lease=True)
    before = path.read_bytes()
    memory.write("a", "third record", holds_lease=True)
    after = path.read_bytes()
    changed = [index for index in range(len(after)) if before[index] != after[index]]
    torn_path = tmp_path / "torn" / "memory"
    torn_path.parent.mkdir()
    for cut in range(len(changed)):
        torn = bytearray(before)
        for index in changed[:cut]:
            torn[index] = after[index]
        torn_path.write_bytes(torn)
        assert Memory(torn_path).read()[0][0] == "second"
    shutil.copy(path, torn_path)
    assert Memory(torn_path).read()[0][0] == "third record"


_ON_A_FULL_FILE_SYSTEM = """
import subprocess, sys
from pathlib import Path
from keepbus_vrrp.memory import Memory

directory = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "full", directory], check=True)
memory = Memory(directory / "vrrp" / "memory")
try:
    with (directory / "other").open("wb", buffering=0) as other:
        while True:
            other.write(bytes(4096))
except OSError:
    pass
for key in "12345678":
    memory.write(key, key * 10_000, holds_lease=True)
    memory.renew(key, 1, 2)
try:
    memory.write("9", "9", holds_lease=True)
except OSError as error:
    print(error.strerror)
memory.renew("9", 1, 2)
memory.count("9", (0,) * 6)
print(sorted(record[0] for record, *_ in Memory(directory / "vrrp" / "memory").read()))
"""


@pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())
def test_r_f37_a_full_file_system_kills_nobody(tmp_path: Path) -> None:
    """What has room goes on being remembered; what has none is refused, and the process lives."""
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", _ON_A_FULL_FILE_SYSTEM, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["No space left on device", str(list("12345678"))]


def test_it_grows_and_forgets(path: Path) -> None:
    memory = Memory(path)
    for number in range(255):
        memory.write(f"eth0/IPv4/{number}", f"record {number}", holds_lease=False)
    for number in range(1, 255):
        memory.forget(f"eth0/IPv4/{number}")
    assert [record for record, *_ in Memory(path).read()] == ["record 0"]
    size = path.stat().st_size
    memory.write("another", "record", holds_lease=False)
    assert path.stat().st_size == size


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 1_000_000])
def test_garbage_is_made_anew(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert Memory(path).read() == []


def test_a_record_that_is_too_long_is_refused_and_the_old_one_stays(path: Path) -> None:
    memory = Memory(path)
    memory.write("a", "good", holds_lease=False)
    with pytest.raises(ValueError, match="takes 20000 octets"):
        memory.write("a", "x" * 20_000, holds_lease=False)
    assert memory.read()[0][0] == "good"
