"""The schema contract with a source: what may change by itself, and what a person has to look at first."""

from ingestion.manifest import Memory
from ingestion.projection import Mapper
from ingestion.readers.extract import Extract

_FAMILIES = {
    "number": (
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    ),
    "text": ("VARCHAR", "UUID", "ENUM"),
    "moment": ("TIMESTAMP", "DATE"),
}


def observe(memory: Memory, mapper: Mapper, extract: Extract, *, is_accepted: bool) -> tuple[str, ...]:
    """Return a notice for every column that came, went or changed its type since the source was last read.

    Raises SourceError when a column that the mapping reads became another kind of value, unless `is_accepted`: a
    mapping that was written or changed since is taken as knowing the new types. A number that became wider is no other
    kind of value.
    """
    before, now = memory.columns(), extract.columns
    if not before or now is None:
        return ()
    if not is_accepted:
        for name in sorted(before.keys() & now.keys()):
            _refuse_change(mapper, name, before[name], now[name])
    came = [f"new column `{name}` ({now[name].lower()}), not mapped" for name in sorted(now.keys() - before.keys())]
    went = [f"column `{name}` is gone; nothing reads it" for name in sorted(before.keys() - now.keys())]
    changed = [
        f"column `{name}` was {before[name].lower()} and is {now[name].lower()} now"
        for name in sorted(before.keys() & now.keys())
        if before[name] and now[name] and before[name] != now[name]
    ]
    return tuple([*came, *changed] if extract.files else [*came, *went, *changed])


def _refuse_change(mapper: Mapper, name: str, before: str, now: str) -> None:
    column = name.rpartition(".")[2]
    if column not in mapper.reads or not before or not now or _family(before) == _family(now):
        return
    problem = f"the source's column `{name}` was of type {before} and is now {now}, so this table is not loaded."
    fix = (
        f"If the change is meant, declare in `columns` how to read it, such as `cast({column} as {before.lower()})`: a "
        "changed mapping accepts it. Else have the source corrected."
    )
    raise mapper.company.error(f"{mapper.key}.columns", problem, fix)


def _family(kind: str) -> str:
    head = kind.partition("(")[0]
    families = (family for family, heads in _FAMILIES.items() if head.startswith(heads))
    return next(families, head)
