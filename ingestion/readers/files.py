"""Files, read by DuckDB itself: csv, tsv, parquet, json and jsonl, also gzipped, by path, glob or package."""

import gzip
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from importlib import resources
from pathlib import Path

import duckdb

from company.company_file import Company, Feed, FilesSource
from company.file_faults import suggest, without_values
from ingestion.expressions import ExpressionError, table_names
from ingestion.readers.extract import Extract, FileSeen, described, quoted

_PACKAGE = "package://"
_KINDS = {
    "text": frozenset({".csv", ".tsv", ".txt"}),
    "json": frozenset({".json", ".jsonl", ".ndjson"}),
    "parquet": frozenset({".parquet"}),
}
_LEAF_TYPE = re.compile(
    r"\b(BIGINT|HUGEINT|UBIGINT|INTEGER|DOUBLE|BOOLEAN|DATE|TIME|UUID|JSON|TIMESTAMP WITH TIME ZONE|TIMESTAMP)\b(?! \w)"
)
_BUNDLE_BYTES = 32 * 2**20
_SAMPLE_LINES = 2_000


@dataclass(frozen=True, kw_only=True)
class FilesReader:
    """Reads one `files` source of `company`."""

    company: Company
    source: str

    @cached_property
    def _declared(self) -> FilesSource:
        source = self.company.sources[self.source]
        assert isinstance(source, FilesSource)  # noqa: S101 - the caller chose this reader by the source's kind
        return source

    def look(
        self, connection: duckdb.DuckDBPyConnection, table: str, feed: Feed, *, taken: Iterable[FileSeen] = ()
    ) -> dict[str, tuple[FileSeen, ...]]:
        """Return the files behind every name that the feed reads, with the digests of their content.

        A file that lies where one of `taken` lay, with its size and time of change, is not read again for that.
        Raises SourceError when `from` is not SQL, names what is not declared, or when there is no file.
        """
        known = {(str(file.path), file.size, file.modified_ns): file for file in taken}
        names = self._names(connection, table, feed)
        return {name: tuple(_look(path, known) for path in self._paths(name)) for name in names}

    def extract(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        looked: Mapping[str, tuple[FileSeen, ...]],
        *,
        optional: Collection[str] = (),
    ) -> Extract:
        """Return all that `feed` reads, as SQL over the files that were `looked` at.

        Json leaves out what is empty: of such files, fields among `optional` that no row shows are read as null.
        """
        scans = {name: self._scan(connection, name, files) for name, files in looked.items()}
        files = tuple(file for found in looked.values() for file in found)
        return Extract(
            prelude=tuple(f"{quoted(name)} as ({scan.sql(optional=optional)})" for name, scan in scans.items()),
            relation=feed.relation,
            has_rejects=_has_text(files),
            is_text=any(_suffix(file.path) != ".parquet" for file in files),
            columns={f"{name}.{column}": kind for name, scan in scans.items() for column, kind in scan.columns.items()},
            files=files,
        )

    def extract_bundle(
        self,
        connection: duckdb.DuckDBPyConnection,
        feed: Feed,
        bundle: Sequence[FileSeen],
        *,
        reads: Collection[str],
        optional: Collection[str],
        known: Mapping[str, str],
    ) -> Extract:
        """Return the rows of some files behind the one name that `feed` reads.

        Of json files only the fields among `reads` are read. Json leaves out what is empty: fields that are `optional`
        or `known` from earlier files, and that these do not show, are read as null.
        """
        name = feed.relation
        scan = self._scan(connection, name, bundle)
        earlier = {key.partition(".")[2]: kind for key, kind in known.items()}
        return Extract(
            prelude=(f"{quoted(name)} as ({scan.sql(optional=optional, reads=reads, known=earlier)})",),
            relation=quoted(name),
            has_rejects=_has_text(bundle),
            is_text=any(_suffix(file.path) != ".parquet" for file in bundle),
            columns={f"{name}.{column}": kind for column, kind in scan.columns.items()},
            files=tuple(bundle),
        )

    def _names(self, connection: duckdb.DuckDBPyConnection, table: str, feed: Feed) -> tuple[str, ...]:
        key = f"{self.company.key_of(table, feed)}.from"
        try:
            names = table_names(connection, feed.relation)
        except ExpressionError as error:
            fix = "Write a name of `files`, or a join or subquery over such names, as it would stand after FROM."
            raise self.company.error(key, f"`from` is not SQL ({error}).", fix) from None
        for name in names:
            if name not in self._declared.files:
                problem = f"`{name}` is no file of the source `{self.source}`."
                raise self.company.error(key, problem, suggest(name, self._declared.files))
        return names

    def _paths(self, name: str) -> tuple[Path, ...]:
        address = self._declared.files[name]
        key = f"sources.{self.source}.files.{name}"
        pattern = self._locate(key, address)
        found = tuple(Path(path) for path in sorted(glob(pattern, recursive=True)) if Path(path).is_file())  # noqa: PTH207
        if not found:
            folder = Path(pattern).parent
            beside = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            fix = suggest(Path(pattern).name, beside) if beside else f"The folder `{folder}` is empty or missing."
            problem = f"there is no file at `{address}`."
            raise self.company.error(key, problem, f"{fix} Correct the path or bring the file.")
        return found

    def _locate(self, key: str, address: str) -> str:
        if not address.startswith(_PACKAGE):
            return str(self.company.path.parent / Path(address).expanduser())
        package, _, inner = address.removeprefix(_PACKAGE).partition("/")
        try:
            return str(resources.files(package) / inner)
        except ModuleNotFoundError:
            fix = f"Install it (`pip install {package.replace('_', '-')}`) or correct the address."
            raise self.company.error(key, f"the package `{package}` is not installed.", fix) from None

    def _scan(self, connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[FileSeen]) -> "_Scan":
        key = f"sources.{self.source}.files.{name}"
        suffixes = sorted({_suffix(file.path) for file in files})
        kind = next((kind for kind, known in _KINDS.items() if known.issuperset(suffixes)), None)
        if kind is None:
            problem = f"files ending in {', '.join(suffixes) or 'nothing'} cannot be read as one table."
            fix = "Name csv, tsv, parquet, json or jsonl files of one kind, plain or .gz."
            raise self.company.error(key, problem, fix)
        try:
            return _Scan.of(connection, kind, [file.path for file in files])
        except (duckdb.Error, OSError, EOFError) as error:
            said = without_values(str(error).splitlines()[0])
            fix = "Check that the file is whole and of the kind that its name says."
            raise self.company.error(key, f"a file cannot be read ({said}).", fix) from None


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """Files of one kind, and the columns they show, with their types; leaves of csv and json are text."""

    kind: str
    paths: Sequence[Path]
    columns: dict[str, str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[Path]) -> "_Scan":
        if kind == "json":
            options = f"ignore_errors = true, sample_size = {_SAMPLE_LINES}"
            shown = described(connection, f"select * from read_json([{_listed(paths)}], {options})")
            columns = {name: _LEAF_TYPE.sub("VARCHAR", held) for name, held in shown.items()}
        else:
            columns = described(connection, cls(kind=kind, paths=paths, columns={}).sql())
        return cls(kind=kind, paths=paths, columns=columns)

    def sql(
        self,
        *,
        optional: Collection[str] = (),
        reads: Collection[str] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> str:
        """Return the query over the files; what is not a value of a later type is then a value to judge."""
        if self.kind == "parquet":
            return f"select * from read_parquet([{_listed(self.paths)}], union_by_name = true)"
        if self.kind == "text":
            return _scan_text(self.paths)
        fields = {**dict.fromkeys(optional, "VARCHAR"), **(known or {}), **self.columns}
        used = {name: kind for name, kind in fields.items() if reads is None or name in reads} or fields
        types = ", ".join(f"{quoted(name)}: {_literal(kind)}" for name, kind in used.items())
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
    for file in files:
        if bundle and sum(held.size for held in bundle) + file.size > _BUNDLE_BYTES:
            yield bundle
            bundle = []
        bundle.append(file)
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


def _has_text(files: Iterable[FileSeen]) -> bool:
    return any(_suffix(file.path) in _KINDS["text"] for file in files)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(_literal(str(path)) for path in paths)


def _scan_text(paths: Sequence[Path]) -> str:
    """Read every value as text and keep the lines that cannot be split; files of one header are read together."""
    by_header: dict[bytes, list[Path]] = {}
    for path in paths:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            by_header.setdefault(file.readline().strip(), []).append(path)
    options = "all_varchar = true, header = true, store_rejects = true"
    return " union all by name ".join(
        f"select * from read_csv([{_listed(group)}], {options})" for group in by_header.values()
    )
