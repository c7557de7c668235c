"""The gates' suites in Spark's SQL: how many offenders each rule has, counted where the tables are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.gate import Suite

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation
    from pyspark.sql import SparkSession
    from sqlglot.expressions import Expr

HUGE = "cast('Infinity' as double)"
BATCH = "gate_batch"  # the view of the rows that a suite judges


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule in words, whether it only warns, and the query that counts its offenders in BATCH."""

    expected: str
    is_warning: bool
    query: str


@dataclass(frozen=True, kw_only=True)
class SparkSuite:
    """The rules of a table at a seam, and the query of the rows that they judge."""

    seam: str
    table: str
    query: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a rule found: the offenders, of which a rule about the table as a whole has one or none."""

    seam: str
    table: str
    rule: str
    is_warning: bool
    offenders: int

    @property
    def closes(self) -> bool:
        """Whether it closes the gate."""
        return self.offenders > 0 and not self.is_warning


def translate_suites(suites: Sequence[Suite]) -> list[SparkSuite]:
    """Return suites as Spark's SQL; a rule's key columns and sentences are left out, its offenders are counted."""
    return [
        SparkSuite(
            seam=suite.seam,
            table=suite.table,
            query=translate(suite.query),
            rules=tuple(_translate_rule(each) for each in suite.expectations),
        )
        for suite in suites
    ]


def count_offenders(session: "SparkSession", suites: Sequence[SparkSuite]) -> Iterator[Count]:
    """Yield what each rule of each suite finds, one pass over a suite's rows for all of its rules."""
    for suite in suites:
        rows = session.sql(suite.query).cache()
        rows.createOrReplaceTempView(BATCH)
        counts = " union all ".join(
            f"select {place} as place, offenders from ({rule.query})" for place, rule in enumerate(suite.rules)
        )
        found = {row["place"]: int(row["offenders"]) for row in session.sql(counts).collect()}
        rows.unpersist()
        for place, rule in enumerate(suite.rules):
            yield Count(
                seam=suite.seam,
                table=suite.table,
                rule=rule.expected,
                is_warning=rule.is_warning,
                offenders=found[place],
            )


def _translate_rule(expectation: "Expectation") -> Rule:
    return Rule(
        expected=str(expectation.description or type(expectation).__name__),
        is_warning=bool(getattr(expectation, "is_warning", False)),
        query=_translate_query(expectation),
    )


def _translate_query(expectation: "Expectation") -> str:
    """Return the count of offenders; bounds of a whole table are one offender where they are broken."""
    from sqlglot import exp, parse_one

    if query := getattr(expectation, "unexpected_rows_query", None):
        (offenders, *_) = parse_one(query.format(batch=BATCH), read="duckdb").find_all(exp.CTE)
        return f"select count(*) as offenders from ({translate(_leave_out_words(offenders.this))})"
    low, high = getattr(expectation, "min_value", None), getattr(expectation, "max_value", None)
    column = getattr(expectation, "column", None)
    figure = f"avg({column})" if column else "count(*)"
    bounds = [f"{figure} {sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None]
    return f"select case when {' and '.join(bounds)} then 0 else 1 end as offenders from {BATCH}"


def _leave_out_words(query: "Expr") -> "Expr":
    """Return a query for offenders without what it selects of them: it is written for DuckDB's pages."""
    from sqlglot import exp

    if isinstance(query, exp.Select):
        query.set("expressions", [exp.alias_(exp.Literal.number(1), "offender")])
    return query


def translate(query: "str | Expr") -> str:
    """Return a query of DuckDB in Spark's words."""
    from sqlglot import parse_one

    parsed = parse_one(query, read="duckdb") if isinstance(query, str) else query
    return str(parsed.transform(_translate_node).sql(dialect="spark"))


def _translate_node(node: "Expr") -> "Expr":
    from sqlglot import exp

    if isinstance(node, exp.Explode):  # of a list of structs, into columns
        return exp.func("inline", node.this)
    if isinstance(node, exp.Div):  # decimals would stay decimals of few digits
        return exp.Div(this=exp.cast(node.this, "double"), expression=node.expression)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "isfinite":
        return exp.condition(f"not (isnan({node.expressions[0].sql()}) or abs({node.expressions[0].sql()}) = {HUGE})")
    return node
