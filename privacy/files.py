"""Erasing from files, and searching the bytes of all of them."""

import gzip
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from privacy.identifiers import Identifiers
from privacy.matching import Matcher
from privacy.traces import ERASED, Action, Evidence, Trace

SQLITE, DUCKDB, GZIP, ZIP = b"SQLite format 3\0", b"DUCK", b"\x1f\x8b", b"PK\x03\x04"
_DUCKDB_AT = 8  # behind a check sum
_BY_LINE = (".csv", ".jsonl", ".log", ".tsv", ".txt", ".out", ".err")
_PIECE = 1 << 22
_SAMPLE = 1 << 13


@dataclass(frozen=True, kw_only=True)
class Files:
    """Those files below `folder` that are no database, called `name` in the receipt."""

    name: str
    folder: Path

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, without doing it."""
        matcher = Matcher(values=identifiers.searched)
        return [trace for path in self._list() if (trace := self._treat(path, matcher, is_trial=True))]

    def erase(self, identifiers: Identifiers, *, mode: str) -> Evidence:
        """Delete files named by an identifier, lines that hold one, and write `ERASED` over it in other texts."""
        del mode  # a file holds no statistics that would survive
        matcher = Matcher(values=identifiers.searched)
        traces = [trace for path in self._list() if (trace := self._treat(path, matcher, is_trial=False))]
        return Evidence(store=self.name, traces=tuple(traces))

    def _list(self) -> Iterator[Path]:
        return (path for path in list_files(self.folder) if kind_of(path) not in {SQLITE, DUCKDB})

    def _treat(self, path: Path, matcher: Matcher, *, is_trial: bool) -> Trace | None:
        place = str(path.relative_to(self.folder))
        if matcher.count(path.name.encode(errors="surrogateescape")):
            if not is_trial:
                path.unlink()
            return Trace(place=matcher.replace(place, by=ERASED), action="deleted", rows=1, rows_before=1)
        text = read_text(path)
        if text is None or not matcher.count(text.encode()):
            return None
        action, changed, rows = _change(text, matcher, is_by_line=path.suffix in _BY_LINE)
        if not is_trial:
            _write(path, changed)
        lines = text.count("\n")
        return Trace(place=place, action=action, rows=rows, rows_before=lines, rows_after=changed.count("\n"))


def list_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in the order of their names; a link is no file of ours."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def kind_of(path: Path) -> bytes | None:
    """Return by which signature a file is a database or an archive, None for any other."""
    with path.open("rb") as file:
        head = file.read(len(SQLITE))
    if head[_DUCKDB_AT : _DUCKDB_AT + len(DUCKDB)] == DUCKDB:
        return DUCKDB
    return next((kind for kind in (SQLITE, GZIP, ZIP) if head.startswith(kind)), None)


def read_text(path: Path) -> str | None:
    """Return the text of a file, None where it is none."""
    with path.open("rb") as file:
        if b"\0" in file.read(_SAMPLE):
            return None
    with suppress(UnicodeDecodeError), path.open(encoding="utf-8", newline="") as file:
        return file.read()
    return None


def _change(text: str, matcher: Matcher, *, is_by_line: bool) -> tuple[Action, str, int]:
    if is_by_line:
        lines = text.splitlines(keepends=True)
        left = [line for line in lines if not matcher.count(line.encode())]
        return "deleted", "".join(left), len(lines) - len(left)
    return "replaced", matcher.replace(text, by=ERASED), matcher.count(text.encode()).total()


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.erasing")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
    fresh.chmod(path.stat().st_mode)
    os.replace(fresh, path)  # noqa: PTH105 - atomic, also over a file that is being read


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search of bytes found: hits by file, and how much was read."""

    hits: dict[str, int]
    files: int
    bytes_read: int
    values: int


def search(folder: Path, identifiers: Identifiers) -> Search:
    """Search the name and every byte of every file below a folder for the identifiers; archives are unpacked."""
    matcher = Matcher(values=identifiers.searched)
    hits: Counter[str] = Counter()
    files = bytes_read = 0
    for path in list_files(folder):
        name = str(path.relative_to(folder))
        count = matcher.count(path.name.encode(errors="surrogateescape")).total()
        for piece in _read(path, overlap=matcher.longest):
            count += matcher.count(piece).total()
            bytes_read += len(piece)
        files += 1
        if count:
            hits[matcher.replace(name, by=ERASED)] += count
    return Search(hits=dict(hits), files=files, bytes_read=bytes_read, values=len(matcher.values))


def _read(path: Path, *, overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces that overlap, then what is packed in it."""
    with path.open("rb") as file:
        yield from _in_pieces(file, overlap)
    kind = kind_of(path)
    if kind == GZIP:
        with suppress(OSError, EOFError), gzip.open(path) as unpacked:
            yield from _in_pieces(unpacked, overlap)
    if kind == ZIP:
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    yield from _in_pieces(member, overlap)


def _in_pieces(file: IO[bytes] | gzip.GzipFile, overlap: int) -> Iterator[bytes]:
    last = b""
    while piece := file.read(_PIECE):
        yield last + piece
        last = piece[-overlap:] if overlap else b""
