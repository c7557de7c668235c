"""Erasing from files, and searching the bytes of all of them."""

import gzip
import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

from company.sealed_file import ENDING, is_sealed, read_file, seal
from privacy.identifiers import Identifiers
from privacy.matching import Matcher
from privacy.traces import ERASED, Action, Evidence, Trace

SQLITE, DUCKDB, GZIP, ZIP = b"SQLite format 3\0", b"DUCK", b"\x1f\x8b", b"PK\x03\x04"
_DUCKDB_AT, _HEAD = 8, 16  # behind a check sum; bytes that show what a file is
_BY_LINE = (".csv", ".jsonl", ".log", ".tsv", ".txt", ".out", ".err")
_PIECE = 1 << 22
_SAMPLE = 1 << 13


@dataclass(frozen=True, kw_only=True)
class Files:
    """Those files below `folder` that are no database, called `name` in the receipt; `key` opens sealed ones."""

    name: str
    folder: Path
    key: str = field(default="", repr=False)

    def plan(self, identifiers: Identifiers) -> list[Trace]:
        """Return what would be done, without doing it."""
        return [trace for path in self._list() if (trace := self._treat(path, identifiers.matcher, is_trial=True))]

    def erase(self, identifiers: Identifiers, *, mode: str) -> Evidence:
        """Delete files named by an identifier, archives and lines that hold one; elsewhere write `ERASED` over it."""
        del mode  # a file holds no statistics that would survive
        traces = [trace for path in self._list() if (trace := self._treat(path, identifiers.matcher, is_trial=False))]
        return Evidence(store=self.name, traces=tuple(traces))

    def _list(self) -> Iterator[Path]:
        return (path for path in list_files(self.folder) if kind_of(path) not in {SQLITE, DUCKDB})

    def _treat(self, path: Path, matcher: Matcher, *, is_trial: bool) -> Trace | None:
        place = str(path.relative_to(self.folder))
        pieces = _read(_open(path, key=self.key), overlap=matcher.longest)
        is_found = any(matcher.count(piece) for piece in pieces)
        if matcher.count(path.name.encode(errors="surrogateescape")) or (is_found and self._is_archive(path)):
            if not is_trial:
                path.unlink()
            return Trace(place=matcher.replace(place, by=ERASED), action="deleted", rows=1, rows_before=1)
        text = read_text(path, key=self.key) if is_found else None
        if text is None:
            return None
        action, changed, rows = _change(
            text, matcher, is_by_line=Path(path.name.removesuffix(ENDING)).suffix in _BY_LINE
        )
        if not is_trial:
            put_in_place(path, seal(changed.encode(), key=self.key if is_sealed(path) else ""))
        lines = text.count("\n")
        return Trace(place=place, action=action, rows=rows, rows_before=lines, rows_after=changed.count("\n"))

    def _is_archive(self, path: Path) -> bool:
        """Tell whether a file is packed, so that it is made anew by whoever needs it and not changed."""
        with _open(path, key=self.key) as file:
            return _kind(file.read(_HEAD)) in {GZIP, ZIP}


def list_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in the order of their names; a link is no file of ours."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def kind_of(path: Path) -> bytes | None:
    """Return by which signature a file is a database or an archive, None for any other."""
    with path.open("rb") as file:
        return _kind(file.read(_HEAD))


def _kind(head: bytes) -> bytes | None:
    if head[_DUCKDB_AT : _DUCKDB_AT + len(DUCKDB)] == DUCKDB:
        return DUCKDB
    return next((kind for kind in (SQLITE, GZIP, ZIP) if head.startswith(kind)), None)


def read_text(path: Path, *, key: str = "") -> str | None:
    """Return the text of a file, None where it is none."""
    with _open(path, key=key) as file:
        if b"\0" in file.read(_SAMPLE):
            return None
        file.seek(0)
        with suppress(UnicodeDecodeError):
            return file.read().decode()
    return None


def _open(path: Path, *, key: str) -> IO[bytes]:
    """Return a file as it was before it was sealed."""
    return io.BytesIO(read_file(path, key=key)) if is_sealed(path) else path.open("rb")


def _change(text: str, matcher: Matcher, *, is_by_line: bool) -> tuple[Action, str, int]:
    if is_by_line:
        lines = text.splitlines(keepends=True)
        theirs = {*matcher.find_texts(lines)}
        return "deleted", "".join(line for place, line in enumerate(lines) if place not in theirs), len(theirs)
    return "replaced", matcher.replace(text, by=ERASED), matcher.count(text.encode()).total()


def put_in_place(path: Path, content: bytes | memoryview) -> None:
    """Write a file anew, with the rights it had; whoever looks finds the old content or the new one."""
    fresh = path.with_name(f"{path.name}.fresh")
    fresh.write_bytes(content)
    fresh.chmod(path.stat().st_mode)
    os.replace(fresh, path)  # noqa: PTH105 - atomic, also over a file that is being read


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search of bytes found: hits by file, and how much was read."""

    hits: dict[str, int]
    files: int
    bytes_read: int
    values: int


def search(
    folders: Iterable[Path], identifiers: Identifiers, *, key: str = "", objects: Iterable[tuple[str, bytes]] = ()
) -> Search:
    """Search the name and every byte of every file below the folders, and of objects by name, for the identifiers.

    Archives are unpacked, and sealed files opened with `key`.
    """
    matcher = identifiers.matcher
    hits: Counter[str] = Counter()
    files = bytes_read = 0
    for name, file in chain(_open_all(folders, key=key), ((name, io.BytesIO(content)) for name, content in objects)):
        count = matcher.count(Path(name).name.encode(errors="surrogateescape")).total()
        for piece in _read(file, overlap=matcher.longest):
            count += matcher.count(piece).total()
            bytes_read += len(piece)
        files += 1
        if count:
            hits[matcher.replace(name, by=ERASED)] += count
    return Search(hits=dict(hits), files=files, bytes_read=bytes_read, values=len(matcher.values))


def _open_all(folders: Iterable[Path], *, key: str) -> Iterator[tuple[str, IO[bytes]]]:
    return ((str(path.relative_to(top)), _open(path, key=key)) for top in folders for path in list_files(top))


def _read(opened: IO[bytes], *, overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces that overlap, then what is packed in it; close it."""
    with opened as file:
        kind = _kind(file.read(_HEAD))
        file.seek(0)
        yield from _in_pieces(file, overlap)
        file.seek(0)
        if kind == GZIP:
            with suppress(OSError, EOFError), gzip.open(file) as unpacked:
                yield from _in_pieces(unpacked, overlap)
        if kind == ZIP:
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    with archive.open(name) as member:
                        yield from _in_pieces(member, overlap)


def _in_pieces(file: IO[bytes] | gzip.GzipFile, overlap: int) -> Iterator[bytes]:
    last = b""
    while piece := file.read(_PIECE):
        yield last + piece
        last = piece[-overlap:] if overlap else b""
