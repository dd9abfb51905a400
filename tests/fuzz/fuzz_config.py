"""A fuzz target for the lexer and the compiler of configurations: guided by coverage.

    python tests/fuzz/fuzz_config.py CORPUS [-runs=N] [-max_total_time=SECONDS]

An input is a whole file. The keywords are the dictionary, so that what is found is not all about spelling.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

import atheris
import corpus

_TESTS = Path(__file__).resolve().parents[1]
sys.path.append(str(_TESTS / "unit"))
with atheris.instrument_imports(include=["keepbus.config"]):
    from test_config_fuzz import check

    from keepbus.config.keywords import blocks
    from keepbus.config.lexer import scan
    from keepbus.config.source import masked

_MOST_OCTETS = 1_000


def one_input(octets: bytes) -> None:
    """Each line is tokens in their order; the file is a result, or has errors, and can be shown."""
    octets = octets[:_MOST_OCTETS]
    for line in octets.decode("utf-8", errors="replace").splitlines():
        tokens = scan(line).tokens
        assert all(line[token.start : token.end] for token in tokens)
        assert all(one.end <= other.start for one, other in itertools.pairwise(tokens))
        assert len(masked(line)) == len(line)
    check(octets)


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    words = sorted({keyword for rows in blocks().values() for keyword in rows if keyword.isidentifier()})
    with tempfile.NamedTemporaryFile("w", suffix=".dict", encoding="ascii") as dictionary:
        dictionary.write("".join(f'"{word}"\n' for word in words))
        dictionary.flush()
        seeds = [path.read_bytes() for path in sorted((_TESTS / "seed").iterdir())]
        corpus.fuzz([*sys.argv, f"-dict={dictionary.name}", "-max_len=1000"], one_input, seeds)


if __name__ == "__main__":
    main()
