"""`track_file` blocks: the files that FILE_CHECK may name (features 7.3)."""

from __future__ import annotations

from collections.abc import Iterable

from keepbus.config.check_values import FileWeight
from keepbus.config.diagnostics import Note
from keepbus.config.model.checker import TrackedFile
from keepbus.config.reader import TableReader
from keepbus.config.syntax import Statement


def build_track_files(tables: TableReader, blocks: Iterable[Statement]) -> dict[str, TrackedFile]:
    """All track_files that can be used, by name."""
    files: dict[str, tuple[TrackedFile, Statement]] = {}
    for block in blocks:
        words = block.words
        fields = tables.read(block, (words[0],))
        if len(words) < 2:
            tables.findings.error("missing-argument", f"`{words[0]}` needs a name", block.at(), lenient=True)
            continue
        if len(words) > 2:
            tables.surplus(block, words, 2)
        name = words[1]
        if name in files:
            tables.findings.warning(
                "duplicate-track-file",
                f"there is a track_file {name} already; this one is ignored",
                block.at(1),
                note=Note(text="the first one is here", place=files[name][1].at(1).place()),
            )
            continue
        path = fields.get("path")
        if path is None:
            if fields.lacks("path"):
                tables.findings.error(
                    "missing-file",
                    f"track_file {name} has no `file`; it is not used",
                    block.at(),
                    lenient=True,
                )
            continue
        given = fields.get("file_weight", FileWeight(1, None))
        init = fields.get("init_file")
        file = TrackedFile(
            name=name,
            path=path,
            weight=given.weight,
            reverse=bool(given.reverse),
            init_value=None if init is None else init.value,
            init_overwrite=init is not None and init.overwrite,
        )
        files[name] = file, block
    return {name: file for name, (file, _) in files.items()}
