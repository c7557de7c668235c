"""Files as bytes: whole or refused, of the kind that their name says, and as UTF-8 whatever they are written in."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 2**20
_MAGIC = {
    b"PK\x03\x04": "a zip archive, such as an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"PAR1": "a parquet file",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x1f\x8b": "compressed by gzip",
}
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONTROLS = re.compile(rb"[\x80-\x9f]")


class FileFaultError(Exception):
    """A file that cannot be read as it lies there: `problem` and `fix` are sentences for a person."""

    def __init__(self, problem: str, fix: str) -> None:
        """Hold what is wrong with the file, and what to do."""
        super().__init__(problem)
        self.problem, self.fix = problem, fix


def read_blocks(path: Path, encoding: str | None) -> Iterator[bytes]:
    """Yield the text of a plain or gzipped file, block by block, as UTF-8 without a byte order mark.

    Without an `encoding` the text must be UTF-8 or begin with a byte order mark. Raises FileFaultError when the file is
    cut short, of another kind, or not written in that encoding.
    """
    raw = _raw_blocks(path)
    first = next(raw, b"")
    _refuse_other_kinds(path, first)
    mark, marked = next(((m, e) for m, e in _BYTE_ORDER_MARKS.items() if first.startswith(m)), (b"", None))
    written = marked or encoding or "utf-8"
    decoder = codecs.getincrementaldecoder(written)()
    lines = 0
    for block in _chain(first.removeprefix(mark), raw):
        _refuse_doubtful(path, block, written)
        text = _decoded(decoder, block, path, written, lines, is_declared=bool(marked or encoding))
        lines += block.count(b"\n")
        yield block if written == "utf-8" else text.encode()
    _decoded(decoder, b"", path, written, lines, is_declared=bool(marked or encoding))


def _decoded(
    decoder: codecs.IncrementalDecoder, block: bytes, path: Path, written: str, lines: int, *, is_declared: bool
) -> str:
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        line = lines + 1 + block[: error.start].count(b"\n")
    problem = f"the file `{path.name}` is not written in {written}, as its line {line} shows."
    fix = "Correct the `encoding` of the feed."
    if not is_declared:
        fix = (
            "Most likely its encoding is that of Windows: add `encoding: cp1252` to the feed, its entry under "
            "`tables`, or another one, such as `latin-1` or `utf-16`, if that is what the system writes."
        )
    raise FileFaultError(problem, fix)


def byte_order_mark(path: Path) -> str | None:
    """Return the encoding that the file's byte order mark names, if it begins with one."""
    first = next(_raw_blocks(path), b"")
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if first.startswith(mark)), None)


def check_whole(path: Path) -> None:
    """Read a gzipped file to its end; raises FileFaultError when it is cut short or damaged."""
    if path.suffix == ".gz":
        for _ in _raw_blocks(path):
            pass


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _raw_blocks(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"the file `{path.name}` is not complete: it is cut short or damaged ({error})."
        raise FileFaultError(problem, "Bring it again, whole; nothing of it was loaded.") from None


def _refuse_other_kinds(path: Path, first: bytes) -> None:
    kind = next((kind for magic, kind in _MAGIC.items() if first.startswith(magic)), None)
    if kind is None and first[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        kind = "a web page"
    if kind:
        fix = "Export the table as text" + (", or name the file `.gz`." if "gzip" in kind else ", such as csv.")
        raise FileFaultError(f"the file `{path.name}` is {kind}, although its name promises otherwise.", fix)


def _refuse_doubtful(path: Path, block: bytes, written: str) -> None:
    if b"\0" in block and not written.startswith("utf-16") and not written.startswith("utf-32"):
        problem = f"the file `{path.name}` holds zero bytes, as text in UTF-16 does."
        raise FileFaultError(problem, "Add `encoding: utf-16-le` to the feed, or export the file as UTF-8.")
    if written == "iso8859-1" and _CONTROLS.search(block):
        problem = f"the file `{path.name}` holds characters that latin-1 does not have."
        raise FileFaultError(problem, "Write `encoding: cp1252`, which is what Windows calls so.")
