"""Delimited text by the rules of RFC 4180: what separates, where the names stand, which lines are whole records.

A record is one line, or several where a quoted value holds line ends. A line that does not begin a record of as many
values as there are names is left out by itself, and reading goes on with the next one, so that a stray quote costs no
other row. What is in doubt about the layout is asked of a person and not guessed.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path

from company.company_file import Writing
from ingestion.readers.whole import FileFaultError, byte_order_mark, read_blocks
from ingestion.values import BLANKS

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?$', re.IGNORECASE)
_HEAD_BYTES = 2**18
_SAMPLE = 50
_FEWEST_ALIKE = 3
_USUAL_SHARE = 0.8
_LONGEST_RECORD = 2**20
_LONGEST_SHOWN = 200
_MOST_BROKEN = 10_000
_TOO_FEW, _TOO_MANY, _BAD_QUOTE = "missing columns", "too many columns", "a quote out of place"
_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text file is laid out: the first record stands after `head` lines."""

    names: tuple[str, ...]
    separator: str
    quote: str
    head: int


@dataclass(frozen=True, kw_only=True)
class BrokenLine:
    """A line that is no record: the name of its file, its number from 1, what is wrong with it, and how it begins."""

    file: str
    line: int
    error: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """The file called `name`, whose records are all well formed at `path`, and the lines that were left out of it."""

    name: str
    path: Path
    layout: Layout
    broken: tuple[BrokenLine, ...] = ()


@dataclass
class _Tally:
    """What is seen while records are read: the number of the next line, how records end, and broken lines."""

    file: str
    line: int
    ends: Counter[bytes] = field(default_factory=Counter)
    broken: list[BrokenLine] = field(default_factory=list)

    def pass_over(self, run: bytes) -> None:
        """Count the lines of well-formed records."""
        windows = run.count(b"\r\n")
        ends = {b"\r\n": windows, b"\n": run.count(b"\n") - windows, b"\r": run.count(b"\r") - windows}
        self.ends.update({end: count for end, count in ends.items() if count})
        self.line += sum(ends.values())

    def pass_over_one(self, record: bytes) -> None:
        """Count the lines of one record, whose values may hold line ends of any kind."""
        ends = _END.findall(record)
        self.ends[ends[-1]] += 1
        self.line += len(ends)

    def leave_out(self, line: bytes, error: str) -> None:
        """Note a broken line; raises FileFaultError where most lines are broken."""
        text = line[:_LONGEST_SHOWN].decode(errors="replace")
        self.broken.append(BrokenLine(file=self.file, line=self.line, error=error, text=text))
        self.line += 1
        if len(self.broken) > _MOST_BROKEN and 2 * len(self.broken) > self.line:
            problem = f"most lines of the file `{self.file}` cannot be split into the columns that its header names."
            raise FileFaultError(problem, "Check `separator`, `quote` and `header_line` of the feed.")


def read_text(path: Path, writing: Writing, *, copy_to: Path) -> TextFile | None:
    """Return the file at `path` in a form that its layout describes in full, or None when it is empty.

    A file that is not UTF-8, ends its records in several ways or has broken lines is copied without them to `copy_to`.
    Raises FileFaultError when the file is not whole or its layout is in doubt.
    """
    head = _read_head(path, writing)
    if not head.strip():
        return None
    layout = _find_layout(path, head, writing)
    tally = _Tally(file=path.name, line=layout.head + 1)
    for _ in _records(path, layout, writing, tally):
        pass
    if not tally.broken and _can_be_read_in_place(path, writing, layout, tally.ends):
        return TextFile(name=path.name, path=path, layout=layout)
    with copy_to.open("wb") as copy:
        again = _Tally(file=path.name, line=layout.head + 1)
        copy.writelines(_records(path, layout, writing, again))
    return TextFile(name=path.name, path=copy_to, layout=replace(layout, head=0), broken=tuple(tally.broken))


def _can_be_read_in_place(path: Path, writing: Writing, layout: Layout, ends: Counter[bytes]) -> bool:
    """Tell whether DuckDB reads the file right: UTF-8, one kind of line end, and that met before the first record."""
    mark = byte_order_mark(path)
    is_utf8 = mark == "utf-8" if mark else writing.encoding in {None, "utf-8"}
    has_plain_head = layout.head > 0 and not any(_END.search(name.encode()) for name in layout.names)
    known = ({b"\n"}, {b"\r\n"}, set()) if has_plain_head else ()
    return is_utf8 and set(ends) in known


def _read_head(path: Path, writing: Writing) -> str:
    head = b""
    for block in read_blocks(path, writing.encoding):
        head += block
        if len(head) >= _HEAD_BYTES:
            return head[:_HEAD_BYTES].decode(errors="ignore").rpartition("\n")[0] + "\n"
    return head.decode(errors="ignore")


def _find_layout(path: Path, head: str, writing: Writing) -> Layout:
    """Return where the names of columns stand, and what separates them."""
    lines = head.splitlines(keepends=True)
    told = _SEPARATOR_LINE.match(lines[0].strip())
    skipped = _count_skipped(lines, writing, has_separator_line=told is not None)
    rest = lines[skipped:]
    separator = writing.separator or (told[1] if told else "\t" if ".tsv" in path.suffixes else _separator(path, rest))
    quote = '"' if writing.quote is None else writing.quote
    rows = _sample(rest, separator, quote)
    if not rows:
        problem = f"the file `{path.name}` has no line {skipped + 1}, where its header is looked for."
        raise FileFaultError(problem, "Correct the `header_line` of the feed.")
    (names, length), records = rows[0], [(row, skipped + last) for row, last in rows[1:] if row]
    if writing.header_line == 0:
        return Layout(names=tuple(_named([""] * len(names))), separator=separator, quote=quote, head=skipped)
    names = _with_last_column(names, records)
    _refuse_doubtful_header(path, names, skipped + 1, records, is_declared=writing.header_line is not None)
    return Layout(names=tuple(_named(names)), separator=separator, quote=quote, head=skipped + length)


def _count_skipped(lines: list[str], writing: Writing, *, has_separator_line: bool) -> int:
    """Return how many lines stand before the header, or before the first record where there is none."""
    if writing.header_line is not None:
        return max(writing.header_line - 1, int(has_separator_line and not writing.header_line))
    start = int(has_separator_line)
    return next((place for place, line in enumerate(lines) if place >= start and line.strip()), start)


def _separator(path: Path, lines: list[str]) -> str:
    """Return the only separator under which the header and the lines after it have the same number of values."""
    widths = {sign: [len(row) for row, _ in _sample(lines, sign, '"') if row] for sign in _SEPARATORS}
    usual = {sign: _usual(found) for sign, found in widths.items() if found}
    alike = [sign for sign, width in usual.items() if width is not None and width > 1]
    fitting = [sign for sign in alike if widths[sign][0] == usual[sign]]
    in_header = [sign for sign in _SEPARATORS if lines and sign in lines[0]]
    for signs in (fitting, in_header, alike):
        if len(signs) == 1:
            return signs[0]
        if signs:
            seen = " and ".join(f"`{sign}`" if sign != "\t" else "tabs" for sign in signs)
            problem = f"the lines of the file `{path.name}` can be split at {seen}."
            raise FileFaultError(
                problem, f'Declare the right one as `separator: "{signs[0]}"` or another one on the feed.'
            )
    return ","


def _usual(widths: list[int]) -> int | None:
    """Return the number of values that nearly all lines have, if they do."""
    ((width, count),) = Counter(widths[1:] or widths).most_common(1)
    return width if count >= _USUAL_SHARE * len(widths[1:] or widths) else None


def _sample(lines: list[str], separator: str, quote: str) -> list[tuple[list[str], int]]:
    """Return the first records as lists of values, each with the number of its last line, counted from 1."""
    text = io.StringIO("".join(lines), newline="")
    if quote:
        reader = csv.reader(text, delimiter=separator, quotechar=quote)
    else:
        reader = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE)
    return [(row, reader.line_num) for row in islice(_until_broken(reader), _SAMPLE + 1)]


def _until_broken(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error:  # a quote that is never closed: what stands before it is enough
        return


def _with_last_column(names: list[str], records: list[tuple[list[str], int]]) -> list[str]:
    """Add a nameless column where every line ends with a separator and the header does not."""
    one_more = [row for row, _ in records if len(row) == len(names) + 1]
    return (
        [*names, ""] if one_more and len(one_more) == len(records) and not any(row[-1] for row in one_more) else names
    )


def _refuse_doubtful_header(
    path: Path, names: list[str], line: int, records: list[tuple[list[str], int]], *, is_declared: bool
) -> None:
    width = _usual([0, *(len(row) for row, _ in records)]) if len(records) >= _FEWEST_ALIKE else None
    if width in {None, len(names)}:
        return
    first = next(last for row, last in records if len(row) == width)
    problem = (
        f"line {line} of the file `{path.name}` names {len(names)} columns, and the lines after it hold {width} values."
    )
    fix = f"If the names stand in line {first}, add `header_line: {first}` to the feed; if not, correct the export."
    if is_declared or len(names) > (width or 0):
        fix = "Correct `header_line` or `separator` of the feed, or the export."
    raise FileFaultError(problem, fix)


def _named(names: list[str]) -> list[str]:
    return [name.strip(BLANKS) or f"column{place}" for place, name in enumerate(names, start=1)]


@dataclass(frozen=True, kw_only=True)
class _Grammar:
    """Patterns over bytes: a `run` of records on one line each, `one` record, the start of an `unfinished` one."""

    run: re.Pattern[bytes]
    one: re.Pattern[bytes]
    unfinished: re.Pattern[bytes]
    line: re.Pattern[bytes]


@cache
def _grammar(count: int, separator: str, quote: str) -> _Grammar:
    """Return the grammar of records of `count` values; its repetitions are possessive: nothing is tried twice."""
    sign, end = re.escape(separator.encode()), _END.pattern
    on_line, across = _field(separator, quote, breaks=b"\r\n"), _field(separator, quote, breaks=b"")
    others = b"{%d}+" % (count - 1)
    unclosed = b" *+%(q)s[^%(q)s]*+(?:%(q)s%(q)s[^%(q)s]*+)*+%(q)s?" % {b"q": quote.encode()} if quote else b"(?!)"
    return _Grammar(
        run=re.compile(b"(?:(?:(?:%b%b)%b%b)?(?:%b))*+" % (on_line, sign, others, on_line, end)),
        one=re.compile(b"(?:%b%b)%b%b(?:%b)" % (across, sign, others, across, end)),
        unfinished=re.compile(b"(?:%b%b){0,%d}+(?:%b|[^%b\r\n]*+) *+\\Z" % (across, sign, count - 1, unclosed, sign)),
        line=re.compile(b"(?:%b%b)*+%b" % (on_line, sign, on_line)),
    )


def _field(separator: str, quote: str, *, breaks: bytes) -> bytes:
    """Return the pattern of a value: quoted, with quotes doubled and without `breaks`, or bare and not quoted."""
    sign = re.escape(separator.encode())
    if not quote:
        return b"[^%b\r\n]*+" % sign
    parts = {b"s": sign, b"q": quote.encode(), b"b": breaks}
    quoted = b" *+%(q)s[^%(q)s%(b)s]*+(?:%(q)s%(q)s[^%(q)s%(b)s]*+)*+%(q)s *+" % parts
    return b"(?:%b|(?! *+%b)[^%b\r\n]*+)" % (quoted, parts[b"q"], sign)


def _records(path: Path, layout: Layout, writing: Writing, tally: _Tally) -> Iterator[bytes]:
    """Yield the well-formed records after the head, each ended by a line feed; the broken lines go to `tally`."""
    grammar = _grammar(len(layout.names), layout.separator, layout.quote)
    rest = b""
    for block, is_last in _after_head(read_blocks(path, writing.encoding), layout.head):
        data = rest + block
        if is_last and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        place, end = 0, len(data) - int(data.endswith(b"\r") and not is_last)
        while place < end:
            stop = _span(grammar.run, data, place, end)
            if stop > place:
                tally.pass_over(data[place:stop])
                yield data[place:stop].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            elif (stop := _span(grammar.one, data, place, end)) > place:
                tally.pass_over_one(data[place:stop])
                yield data[place:stop].rstrip(b"\r\n") + b"\n"
            else:
                broken = _END.search(data, place, end)
                is_long = end - place > _LONGEST_RECORD
                if broken is None or (not is_last and not is_long and grammar.unfinished.match(data, place, end)):
                    break
                stop = broken.end()
                line = data[place : broken.start()]
                tally.leave_out(line, _what_is_wrong(line, layout, grammar))
            place = stop
        rest = data[place:]


def _span(pattern: re.Pattern[bytes], data: bytes, place: int, end: int) -> int:
    """Return where the match of `pattern` at `place` ends; `place` itself where there is none."""
    match = pattern.match(data, place, end)
    return match.end() if match else place


def _after_head(blocks: Iterator[bytes], head: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the blocks without the first `head` lines, each with whether it is the last one."""
    skipped = re.compile(rb"(?:[^\r\n]*+(?:%b)){%d}+" % (_END.pattern, head))
    before = b""
    for block in blocks:
        if not head:
            yield before, False
            before = block
            continue
        before += block
        start = skipped.match(before)
        if start:
            before, head = before[start.end() :], 0
    yield b"" if head else before, True


def _what_is_wrong(line: bytes, layout: Layout, grammar: _Grammar) -> str:
    if not grammar.line.fullmatch(line):
        return _BAD_QUOTE
    ((values, _),) = _sample([line.decode()], layout.separator, layout.quote) or [([], 1)]
    return _TOO_FEW if len(values) < len(layout.names) else _TOO_MANY
