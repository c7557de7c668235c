"""Gates: suites of expectations that run inside the warehouse, their verdict, and the pages that show it.

Great Expectations costs seconds to import, so it is imported where it is used and this module is cheap to load.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

    from expectations.engine import Warehouse

SHOWN = 20
FETCHED = 200  # what the library reads of a query's answer


class GateError(Exception):
    """A gate that could not be asked at all; the message is one paragraph."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is expected of one table (`schema.table`) at one seam.

    `where` narrows the table to the rows in question, as a SQL condition. `profile`, where given, is a query that
    describes the table; it is computed once and the expectations judge its answer instead of the table.
    """

    seam: str
    table: str
    expectations: "Sequence[Expectation]"
    where: str = "true"
    profile: str | None = None

    @property
    def name(self) -> str:
        """The suite's name, unique within its seam."""
        return f"{self.table} profile" if self.profile else self.table

    @property
    def query(self) -> str:
        """The query whose answer is judged."""
        return self.profile or f"select * from {self.table} where {self.where}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one expectation went.

    `observed` says in words what was found. `offenders` are keys, never values, and at most `SHOWN` of the
    `count_offenders` there are.
    """

    table: str
    expectation: str
    column: str | None
    passed: bool
    observed: str
    count_offenders: int = 0
    offenders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All outcomes of a seam, and the page that shows them; passed when every outcome did."""

    seam: str
    passed: bool
    outcomes: tuple[Outcome, ...]
    docs_page: Path

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes that close the gate."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)


def expect_none(rule: str, query: str, *, says: str, column: str | None = None) -> "Expectation":
    """Return the expectation that `query`, a search for offenders, finds nothing.

    The query reads from `{batch}`, without an alias, and selects the offenders' keys. An offender that is itself a
    column is selected as `column_name`; whatever else stands in its row is shown beside it.
    """
    from expectations.engine import ExpectNoOffenders

    counted = f"select *, count(*) over () as count_offenders from ({query}) as offenders order by all limit {FETCHED}"
    return ExpectNoOffenders(rule=rule, column=column, unexpected_rows_query=counted, description=says)


def expect_rows(*, low: int = 1, high: int | None = None) -> "Expectation":
    """Return the expectation that the table has at least `low` and at most `high` rows."""
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import ExpectTableRowCountToBeBetween

    return ExpectTableRowCountToBeBetween(min_value=low, max_value=high)


def expect_mean(column: str, *, low: float, high: float) -> "Expectation":
    """Return the expectation that the mean of `column` lies within `low` and `high`, both included."""
    from great_expectations.expectations.core.expect_column_mean_to_be_between import ExpectColumnMeanToBeBetween

    return ExpectColumnMeanToBeBetween(column=column, min_value=low, max_value=high)


def expect_unique(key: Sequence[str], *, shown: Sequence[str] | None = None) -> "Expectation":
    """Return the expectation that no two rows share `key`; offenders are named by the columns `shown`."""
    names = ", ".join(key)
    query = f"select {', '.join(shown or key)} from {{batch}} group by {names} having count(*) > 1"
    return expect_none("key_is_unique", query, column=names, says=f"{names} identify one row")


def expect_filled(column: str, *, key: Sequence[str]) -> "Expectation":
    """Return the expectation that `column` is never null; offenders are named by `key`."""
    query = f"select {', '.join(key)} from {{batch}} where {column} is null"
    return expect_none("value_is_present", query, column=column, says=f"{column} is never missing")


def expect_true(
    rule: str, condition: str, *, column: str, key: Sequence[str], says: str, null_passes: bool = False
) -> "Expectation":
    """Return the expectation that `condition`, a SQL expression over one row, holds everywhere.

    A condition that is null counts as broken unless `null_passes`.
    """
    query = f"select {', '.join(key)} from {{batch}} where not coalesce({condition}, {null_passes})"
    return expect_none(rule, query, column=column, says=says)


def run_gate(suites: Sequence[Suite], *, database: Path, docs: Path) -> Verdict:
    """Run the suites of one seam inside the DuckDB file `database` and write their pages to `docs/<seam>/index.html`.

    The file is opened for reading only and let go again. Raises GateError when there is nothing to run, the suites
    belong to several seams, the file is missing, or a profile cannot be computed.
    """
    from expectations.docs import build_pages, new_context
    from expectations.engine import open_warehouse

    seam = _only_seam(suites)
    if not database.exists():
        raise GateError(f"The {seam} gate found no warehouse at {database}: run the stage before it first.")
    with build_pages(docs / seam) as folder:
        context = new_context(folder)
        with open_warehouse(context, database) as warehouse:
            results = [_run_suite(context, warehouse, suite) for suite in suites]
        context.build_data_docs()
    outcomes = tuple(chain.from_iterable(map(_read_outcomes, suites, results)))
    passed = all(outcome.passed for outcome in outcomes)
    return Verdict(seam=seam, passed=passed, outcomes=outcomes, docs_page=docs / seam / "index.html")


def _only_seam(suites: Sequence[Suite]) -> str:
    seams = sorted({suite.seam for suite in suites})
    if len(seams) != 1:
        raise GateError(
            f"A gate stands at one seam, but its suites name {seams or 'none'}: pass the suites of one seam."
        )
    return seams[0]


def _run_suite(
    context: "AbstractDataContext", warehouse: "Warehouse", suite: Suite
) -> "ExpectationSuiteValidationResult":
    import great_expectations as gx

    source = warehouse.profiles if suite.profile else warehouse.tables
    try:
        batch = source.add_query_asset(suite.name, query=suite.query).add_batch_definition_whole_table("all rows")
        expected = context.suites.add(
            gx.ExpectationSuite(name=suite.name, expectations=[copy(one) for one in suite.expectations])
        )
        definition = gx.ValidationDefinition(name=suite.name, data=batch, suite=expected)
        return context.validation_definitions.add(definition).run(result_format="BASIC")
    except Exception as error:
        raise GateError(f"The {suite.seam} gate could not read {suite.table}: {_first_line(str(error))}") from error


def _read_outcomes(suite: Suite, result: "ExpectationSuiteValidationResult") -> Iterator[Outcome]:
    for one in result.results:
        yield from _read_outcome(suite.table, one)


def _read_outcome(table: str, result: "ExpectationValidationResult") -> Iterator[Outcome]:
    config = result.expectation_config
    if config is None:
        raise GateError(f"An expectation of {table} came back without its own description: run the gate again.")
    rule = str(config.kwargs.get("rule", config.type))
    found: list[dict[str, str]] = result.result.get("keys", [])
    named = [key for key in found if "column_name" in key]
    for key in named:
        yield Outcome(
            table=table,
            expectation=rule,
            column=key["column_name"],
            passed=False,
            observed=_say(key),
            count_offenders=1,
        )
    if not named:
        yield Outcome(
            table=table,
            expectation=rule,
            column=config.kwargs.get("column"),
            passed=bool(result.success),
            observed=_observe(result),
            count_offenders=int(result.result.get("count", 0)),
            offenders=tuple(", ".join(key.values()) for key in found[:SHOWN]),
        )


def _say(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in key.items() if name != "column_name")


def _observe(result: "ExpectationValidationResult") -> str:
    """Return what was found, or the first line of what went wrong in asking."""
    if "count" in result.result:
        return f"{result.result['count']} offenders" if result.result["count"] else "no offenders"
    if "observed_value" in result.result:
        return str(result.result["observed_value"])
    return _first_line(_find_message(result.exception_info))


def _find_message(raised: Any) -> str:  # noqa: ANN401 - one error, or errors by metric
    if "exception_message" in raised:
        return str(raised["exception_message"])
    return next((_find_message(error) for error in raised.values()), "no result")


def _first_line(message: str) -> str:
    return message.strip().split("\n", maxsplit=1)[0][:300]
