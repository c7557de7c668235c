"""Files: csv, tsv, parquet, json and jsonl, also gzipped, by path, glob or package; DuckDB reads what is sound."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from importlib import resources
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import Field, field_validator

from company.company_file import Feed
from company.file_faults import Fault, suggest, without_values
from ingestion.expressions import ExpressionError, table_names
from ingestion.readers.base import Context, Reader, ReaderSettings
from ingestion.readers.extract import Extract, FileSeen, Request, described, quoted
from ingestion.readers.json_fields import as_tree, as_type, fields_of, merge
from ingestion.readers.text import BrokenLine, Layout, TextFile, read_text
from ingestion.readers.whole import FileFaultError, byte_order_mark, read_blocks

_PACKAGE = "package://"
_KINDS = {
    "text": frozenset({".csv", ".tsv", ".txt"}),
    "json": frozenset({".json", ".jsonl", ".ndjson"}),
    "parquet": frozenset({".parquet"}),
}
_LEAF_TYPE = re.compile(
    r"\b(BIGINT|HUGEINT|UBIGINT|INTEGER|DOUBLE|BOOLEAN|DATE|TIME|UUID|TIMESTAMP WITH TIME ZONE|TIMESTAMP)\b(?! \w)"
)
_BUNDLE_BYTES = 32 * 2**20
_SAMPLE_LINES = 2_000


class Settings(ReaderSettings):
    """Files by name: a path, a glob, or `package://<package>/<path>`; csv, tsv, parquet, json or jsonl, also gzipped.

    Relative paths start at the company file.
    """

    reader: Literal["files"]
    files: dict[str, str] = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _names_are_plain(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if not name.isidentifier():
                raise ValueError(f"the file name {name!r} must be a plain word, because `from` uses it as a table")
        return files

    def find_fault(self, feed: Feed) -> Fault | None:
        """Return what is wrong with files that the feed takes one by one, if it does so."""
        if feed.incremental is None:
            return None
        if feed.incremental != "file":
            problem = f"files are taken one by one, not by the column `{feed.incremental}`."
            return Fault(key="incremental", problem=problem, fix="Write `incremental: file`.")
        if feed.relation not in self.files:
            problem = "files that are taken one by one need a `from` that is just one name of `files`."
            return Fault(key="from", problem=problem, fix=suggest(feed.relation, self.files))
        return None

    def files_of(self, folder: Path) -> tuple[Path, ...]:
        """Return every file that the source names; none of a package that is not installed."""
        found: list[Path] = []
        for address in self.files.values():
            with suppress(ModuleNotFoundError):
                found += _matching(_pattern(address, folder))
        return tuple(found)

    def open(self, context: Context) -> Reader:
        """Return the reader of one feed."""
        return FilesReader(settings=self, context=context)


@dataclass(frozen=True, kw_only=True)
class FilesReader(Reader):
    """Reads what one feed takes from files; those that cannot be read where they lie are copied to `scratch`."""

    settings: Settings
    context: Context

    def look(
        self, connection: duckdb.DuckDBPyConnection, *, taken: Iterable[FileSeen] = ()
    ) -> dict[str, tuple[FileSeen, ...]]:
        """Return the files behind every name that the feed reads, with the digests of their content.

        A file that lies where one of `taken` lay, with its size and time of change, is not read again for that.
        Raises SourceError when `from` is not SQL, names what is not declared, or when there is no file.
        """
        known = {(str(file.path), file.size, file.modified_ns): file for file in taken}
        return {name: tuple(_look(path, known) for path in self._paths(name)) for name in self._names(connection)}

    def extract(self, connection: duckdb.DuckDBPyConnection, asked: Request) -> Extract:
        """Return the rows of the files that are asked for, which `look` found, as SQL over them.

        Json leaves out what is empty: of such files, optional fields that no row shows are read as null. Of files that
        are taken one by one the same holds for fields known from earlier files, and only fields that the mapping reads
        are read. Raises SourceError when a file is not whole, of another kind than its name says, or of a doubtful
        layout.
        """
        feed = self.context.feed
        scans = {name: self._scan(connection, name, files, asked.names) for name, files in asked.files.items()}
        files = tuple(file for found in asked.files.values() for file in found)
        earlier = {key.partition(".")[2]: kind for key, kind in asked.known.items()}
        reads = asked.names if feed.incremental else None
        queries = {
            name: scan.sql(optional=asked.optional, reads=reads, known=earlier if feed.incremental else None)
            for name, scan in scans.items()
        }
        return Extract(
            prelude=tuple(f"{quoted(name)} as ({query})" for name, query in queries.items()),
            relation=quoted(feed.relation) if feed.incremental else feed.relation,
            broken=tuple(line for scan in scans.values() for line in scan.broken),
            is_text=any(_suffix(file.path) != ".parquet" for file in files),
            is_ordered=feed.relation in asked.files and feed.group_by is None,
            columns={f"{name}.{column}": kind for name, scan in scans.items() for column, kind in scan.types.items()},
            files=files,
        )

    def _names(self, connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
        key = f"{self.context.key}.from"
        try:
            names = table_names(connection, self.context.feed.relation)
        except ExpressionError as error:
            fix = "Write a name of `files`, or a join or subquery over such names, as it would stand after FROM."
            raise self.context.error(key, f"`from` is not SQL ({error}).", fix) from None
        for name in names:
            if name not in self.settings.files:
                problem = f"`{name}` is no file of the source `{self.context.feed.source}`."
                raise self.context.error(key, problem, suggest(name, self.settings.files))
        return names

    def _paths(self, name: str) -> tuple[Path, ...]:
        address = self.settings.files[name]
        key = f"{self.context.source_key}.files.{name}"
        pattern = self._locate(key, address)
        found = _matching(pattern)
        if not found:
            folder = Path(pattern).parent
            beside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            fix = suggest(Path(pattern).name, beside) if beside else f"The folder `{folder}` is empty or missing."
            problem = f"there is no file at `{address}`."
            raise self.context.error(key, problem, f"{fix} Correct the path or bring the file.")
        return found

    def _locate(self, key: str, address: str) -> str:
        try:
            return _pattern(address, self.context.company.path.parent)
        except ModuleNotFoundError:
            package = address.removeprefix(_PACKAGE).partition("/")[0]
            fix = f"Install it (`pip install {package.replace('_', '-')}`) or correct the address."
            raise self.context.error(key, f"the package `{package}` is not installed.", fix) from None

    def _scan(
        self, connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[FileSeen], reads: Collection[str]
    ) -> "_Scan":
        key = f"{self.context.source_key}.files.{name}"
        suffixes = sorted({_suffix(file.path) for file in files})
        kind = next((kind for kind, known in _KINDS.items() if known.issuperset(suffixes)), None)
        if kind is None:
            problem = f"files ending in {', '.join(suffixes) or 'nothing'} cannot be read as one table."
            fix = "Name csv, tsv, parquet, json or jsonl files of one kind, plain or .gz."
            raise self.context.error(key, problem, fix)
        try:
            return self._scan_kind(connection, kind, files, reads if self.context.feed.relation == name else None)
        except FileFaultError as fault:
            raise self.context.error(key, fault.problem, fault.fix) from None
        except (duckdb.Error, OSError) as error:
            said = without_values(str(error).splitlines()[0])
            fix = "Check that the file is whole and of the kind that its name promises."
            raise self.context.error(key, f"a file cannot be read ({said}).", fix) from None

    def _scan_kind(
        self,
        connection: duckdb.DuckDBPyConnection,
        kind: str,
        files: Sequence[FileSeen],
        reads: Collection[str] | None,
    ) -> "_Scan":
        match kind:
            case "text":
                scratch, feed = self.context.scratch, self.context.feed
                found = [read_text(file.path, feed, copy_to=scratch / file.content) for file in files]
                return _Scan.of_text([text for text in found if text], reads)
            case "json":
                return _Scan.of_json(connection, [self._plain_json(file) for file in files])
        return _Scan.of_parquet(connection, [file.path for file in files])

    def _plain_json(self, file: FileSeen) -> Path:
        """Return where a json file stands as plain UTF-8; raises FileFaultError when it is not whole."""
        copy = self.context.scratch / (file.content + "".join(file.path.suffixes[-2:]).removesuffix(".gz"))
        blocks = read_blocks(file.path, self.context.feed.encoding)
        if byte_order_mark(file.path) is None and self.context.feed.encoding in {None, "utf-8"}:
            for _ in blocks:
                pass
            return file.path
        with copy.open("wb") as plain:
            plain.writelines(blocks)
        return copy


def _pattern(address: str, folder: Path) -> str:
    """Return the pattern of paths that an address means; raises ModuleNotFoundError for a package that is not there."""
    if not address.startswith(_PACKAGE):
        return str(folder / Path(address).expanduser())
    package, _, inner = address.removeprefix(_PACKAGE).partition("/")
    return str(resources.files(package) / inner)


def _matching(pattern: str) -> tuple[Path, ...]:
    return tuple(Path(path) for path in sorted(glob(pattern, recursive=True)) if Path(path).is_file())  # noqa: PTH207


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """Files of one kind, and the columns they show, with their types; leaves of csv and json are text."""

    kind: str
    columns: dict[str, str]
    paths: Sequence[Path] = ()
    texts: Sequence[TextFile] = ()
    query: str = ""

    @classmethod
    def of_text(cls, texts: Sequence[TextFile], reads: Collection[str] | None) -> "_Scan":
        if not texts:
            raise FileFaultError("there is no line in the file.", "Bring a file with a header and rows.")
        for text in texts:
            _refuse_twins(text, reads)
        columns = dict.fromkeys((name for text in texts for name in _distinct(text.layout.names)), "VARCHAR")
        return cls(kind="text", columns=columns, texts=texts)

    @classmethod
    def of_json(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> "_Scan":
        options = f"ignore_errors = true, sample_size = {_SAMPLE_LINES}, map_inference_threshold = -1"
        shown = described(connection, f"select * from read_json([{_listed(paths)}], {options})")
        return cls(
            kind="json", paths=paths, columns={name: _LEAF_TYPE.sub("VARCHAR", held) for name, held in shown.items()}
        )

    @classmethod
    def of_parquet(cls, connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> "_Scan":
        by_nulls: dict[frozenset[str], list[Path]] = {}
        for path in paths:
            by_nulls.setdefault(_null_columns(connection, path), []).append(path)
        columns = described(connection, _scan_parquet(by_nulls, {}))
        empty = dict.fromkeys((name for names in by_nulls for name in names if name not in columns), "VARCHAR")
        return cls(kind="parquet", columns={**columns, **empty}, query=_scan_parquet(by_nulls, empty))

    @property
    def types(self) -> dict[str, str]:
        """The columns with the types that they are read in, empty where no value was seen."""
        if self.kind != "json":
            return self.columns
        return {name: "" if kind == "JSON" else as_type(as_tree(kind)) for name, kind in self.columns.items()}

    @property
    def broken(self) -> tuple[BrokenLine, ...]:
        """The lines that are no records."""
        return tuple(line for text in self.texts for line in text.broken)

    def sql(
        self,
        *,
        optional: Collection[tuple[str, ...]] = (),
        reads: Collection[str] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> str:
        """Return the query over the files; what is not a value of a later type is then a value to judge."""
        if self.kind == "parquet":
            return self.query
        if self.kind == "text":
            return _scan_text(self.texts)
        earlier = {name: as_tree(kind) for name, kind in (known or {}).items() if kind}
        shown = {name: as_tree(kind) for name, kind in self.columns.items()}
        fields = merge(shown, merge(earlier, fields_of(optional)))
        used = {name: kind for name, kind in fields.items() if reads is None or name in reads} or fields
        types = ", ".join(f"{quoted(name)}: {_literal(as_type(kind))}" for name, kind in used.items())
        return f"select * from read_json([{_listed(self.paths)}], columns = {{{types}}}, ignore_errors = true)"


def fingerprint_of(looked: Mapping[str, Iterable[FileSeen]]) -> str:
    """Return a digest of the content of all files, whatever they are called."""
    parts = sorted(f"{name} {file.content}" for name, files in looked.items() for file in files)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def sort_out(files: Sequence[FileSeen], *, taken: Iterable[FileSeen]) -> tuple[list[list[FileSeen]], list[FileSeen]]:
    """Split `files` into bundles of content that was never taken, and files that are known content in a new place.

    Of a content that lies in several places only the first is bundled. A bundle holds at most some 32 MiB, or one file.
    """
    contents = {file.content for file in taken}
    places = set(taken)
    fresh, moved = [], []
    for file in files:
        if file.content not in contents:
            fresh.append(file)
            contents.add(file.content)
        elif file not in places:
            moved.append(file)
    return list(_bundles(fresh)), moved


def _bundles(files: Iterable[FileSeen]) -> Iterator[list[FileSeen]]:
    bundle: list[FileSeen] = []
    size = 0
    for file in files:
        if bundle and size + file.size > _BUNDLE_BYTES:
            yield bundle
            bundle, size = [], 0
        bundle.append(file)
        size += file.size
    if bundle:
        yield bundle


def _look(path: Path, known: Mapping[tuple[str, int, int], FileSeen]) -> FileSeen:
    stat = path.stat()
    seen = known.get((str(path), stat.st_size, stat.st_mtime_ns))
    if seen:
        return seen
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return FileSeen(path=path, content=content, size=stat.st_size, modified_ns=stat.st_mtime_ns)


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(_literal(str(path)) for path in paths)


def _null_columns(connection: duckdb.DuckDBPyConnection, path: Path) -> frozenset[str]:
    """Return the columns of parquet's null type, which DuckDB takes for whole numbers."""
    query = f"select name from parquet_schema({_literal(str(path))}) where logical_type like 'Null%'"
    return frozenset(name for (name,) in connection.execute(query).fetchall())


def _scan_parquet(by_nulls: Mapping[frozenset[str], Sequence[Path]], empty: Mapping[str, str]) -> str:
    """Read files alike in their columns of the null type together, without these; what is `empty` in all is null."""
    scans = []
    for names, paths in by_nulls.items():
        without = f" exclude ({', '.join(quoted(name) for name in sorted(names))})" if names else ""
        scans.append(f"select *{without} from read_parquet([{_listed(paths)}], union_by_name = true)")
    nulls = "".join(f", null::{kind} as {quoted(name)}" for name, kind in empty.items())
    return f"select *{nulls} from ({' union all by name '.join(scans)})"


def _refuse_twins(text: TextFile, reads: Collection[str] | None) -> None:
    """Refuse two columns of one name where one is read; of a relation that is a query, any may be."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(text.layout.names, start=1):
        places.setdefault(name.casefold(), []).append(place)
    read = None if reads is None else {name.casefold() for name in reads}
    for name, found in places.items():
        if len(found) > 1 and (read is None or name in read):
            names = [f"`{text.layout.names[place - 1]}` (column {place})" for place in found]
            problem = f"{len(found)} columns of the file `{text.name}` have one name: {' and '.join(names)}."
            raise FileFaultError(
                problem, "Give each a name of its own in the export: which one is meant is not known otherwise."
            )


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, each one that stood before with its place behind it."""
    seen: set[str] = set()
    distinct = []
    for place, name in enumerate(names, start=1):
        distinct.append(f"{name}_{place}" if name.casefold() in seen else name)
        seen.add(name.casefold())
    return distinct


def _scan_text(texts: Sequence[TextFile]) -> str:
    """Read every value as text, exactly as each layout says; files of one layout are read together."""
    alike: dict[Layout, list[Path]] = {}
    for text in texts:
        alike.setdefault(text.layout, []).append(text.path)
    return " union all by name ".join(_scan_layout(layout, paths) for layout, paths in alike.items())


def _scan_layout(layout: Layout, paths: Sequence[Path]) -> str:
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in _distinct(layout.names))
    options = {
        "auto_detect": "false",
        "header": "false",
        "skip": str(layout.head),
        "columns": f"{{{columns}}}",
        "delim": _literal(layout.separator),
        "quote": _literal(layout.quote),
        "escape": _literal(layout.quote),
        "strict_mode": "true",
    }
    return f"select * from read_csv([{_listed(paths)}], {', '.join(f'{k} = {v}' for k, v in options.items())})"
