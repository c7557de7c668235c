"""The company's own columns of customers: what must not be among them."""

from collections.abc import Iterable

import duckdb

from ingestion.classifying import STAGE
from ingestion.expressions import Expression
from ingestion.projection import Mapper
from ingestion.readers.extract import quoted

FEWEST_DISTINCT = 50  # texts below which a column is never taken for one that names its rows
DISTINCT_SHARE = 0.5  # of the rows with a text, from which on texts name rows and do not group them


def refuse_personal(mapper: Mapper) -> None:
    """Raise SourceError when one of the company's own columns is computed from what is mapped as personal data."""
    personal = _fields(mapper.expressions[name] for name in mapper.personal)
    for name, expression in _own(mapper).items():
        shared = sorted(personal & _fields([expression]))
        if shared:
            problem = f"it is computed from `{shared[0]}`, which is mapped as personal data."
            fix = "Take it out: personal data stays in the vault."
            raise mapper.company.error(f"{mapper.key}.{mapper.feed.key_of(name)}", problem, fix)


def refuse_names(connection: duckdb.DuckDBPyConnection, mapper: Mapper) -> None:
    """Raise SourceError when texts of one of the company's own columns name customers, as personal data would."""
    extra = mapper.company.extra_columns
    for name in _own(mapper):
        if extra[name].type != "text":
            continue
        query = f"select count({quoted(name)}), count(distinct {quoted(name)}) from {STAGE} where _fault is null"
        texts, distinct = connection.execute(query).fetchone() or (0, 0)
        if distinct > max(FEWEST_DISTINCT, DISTINCT_SHARE * texts):
            problem = f"{distinct:,} of {texts:,} texts differ: they name customers, as personal data does."
            fix = "Take it out, or group the texts by an expression."
            raise mapper.company.error(f"{mapper.key}.{mapper.feed.key_of(name)}", problem, fix)


def _own(mapper: Mapper) -> dict[str, Expression]:
    return {name: each for name, each in mapper.expressions.items() if name not in mapper.feed.columns}


def _fields(expressions: Iterable[Expression]) -> frozenset[str]:
    return frozenset(path[-1] for each in expressions for path in each.paths)
