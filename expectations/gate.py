"""Gates: suites of expectations that run inside the warehouse, their verdict, and the pages that show it.

Great Expectations costs seconds to import, so it is imported where it is used and this module is cheap to load.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import chain, groupby
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Self

from company.encryption import Connection, address, enter

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

    from expectations.engine import Warehouse

SHOWN = 20
NAMED = 3  # offenders that a sentence names
FETCHED = 200  # what the library reads of a query's answer


class GateError(Exception):
    """A gate that could not be asked at all; the message is one paragraph."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """What the suites run in: a DuckDB that is opened at `address` with `config`, and made ready by `enter`."""

    address: str
    config: Mapping[str, str] = field(default_factory=dict)
    enter: Callable[[Connection], None] = field(default=lambda _: None)

    @classmethod
    def of_file(cls, path: Path, *, key: str = "") -> Self:
        """Return a file, for reading only, which is encrypted where there is a `key`."""
        return cls(
            address=address(path, key=key),
            config={} if key else {"access_mode": "read_only"},
            enter=partial(enter, path=path, key=key, is_read_only=True),
        )


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
class Finding:
    """What one expectation found.

    `expected` and `observed` say in words what should be and what is, `remedy` what to do about it. `offenders` are
    keys, never values, and at most `SHOWN` of the `count_offenders` there are. A warning closes no gate.
    """

    table: str
    expectation: str
    column: str | None
    passed: bool
    expected: str
    observed: str
    remedy: str = ""
    count_offenders: int = 0
    offenders: tuple[str, ...] = ()
    is_warning: bool = False

    @property
    def closes(self) -> bool:
        """Whether it closes the gate."""
        return not self.passed and not self.is_warning


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All findings of a seam, and the page that shows them; passed when every expectation did that is no warning."""

    seam: str
    passed: bool
    findings: tuple[Finding, ...]
    docs_page: Path

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that close the gate."""
        return tuple(finding for finding in self.findings if finding.closes)


def describe(findings: Sequence[Finding]) -> list[str]:
    """Return one sentence per table and expectation that failed: where, what should be, what is, what to do."""
    failed = sorted(
        (one for one in findings if not one.passed), key=lambda one: (one.table, one.expectation, one.expected)
    )
    groups = groupby(failed, key=lambda one: (one.table, one.expectation, one.expected))
    return [_describe_group(list(group)) for _, group in groups]


def _describe_group(findings: Sequence[Finding]) -> str:
    """Return the sentence about findings of one expectation, which differ in their column only."""
    first = findings[0]
    if len(findings) == 1:
        place = f"{first.table}.{first.column}" if first.column else first.table
        observed = first.observed
    else:
        place = first.table
        named = "; ".join(f"{one.column} ({one.observed})" for one in findings[:NAMED])
        more = f" and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
        observed = f"{len(findings)} columns: {named}{more}"
    sentence = f"{place}: expected that {first.expected} ({first.expectation}), found {observed}."
    return f"{sentence} {first.remedy}".strip()


def find_rules(package: str, context: Any) -> "Iterator[tuple[str | None, Expectation]]":  # noqa: ANN401 - a seam's own
    """Yield what every module in a seam's folder expects, with the `TABLE` that the module names, if it names one.

    A rule is a module with a function `expect`, which is called with the `context`; a new one is one new file.
    """
    folder = import_module(package).__path__
    for name in sorted(module.name for module in iter_modules(folder)):
        module = import_module(f"{package}.{name}")
        if hasattr(module, "expect"):
            yield from ((getattr(module, "TABLE", None), expectation) for expectation in module.expect(context))


def expect_none(
    rule: str, query: str, *, says: str, column: str | None = None, remedy: str = "", is_warning: bool = False
) -> "Expectation":
    """Return the expectation that `query`, a search for offenders, finds nothing.

    The query reads from `{batch}`, without an alias, and selects the offenders' keys. An offender that is itself a
    column is selected as `column_name`, and one that is the table itself as a text `observed` with the figure in words;
    whatever else stands in its row is shown next to it. `remedy` is a sentence about what to do. A warning
    closes no gate.
    """
    from expectations.engine import ExpectNoOffenders

    # a window straight above a union all stops DuckDB 1.5 now and then with an internal error, so it is kept apart
    counted = (
        f"with offenders as materialized ({query}) "
        f"select *, count(*) over () as count_offenders from offenders order by all limit {FETCHED}"
    )
    return ExpectNoOffenders(
        rule=rule,
        column=column,
        unexpected_rows_query=counted,
        description=says,
        remedy=remedy,
        is_warning=is_warning,
    )


def expect_rows(*, low: int = 1, high: int | None = None) -> "Expectation":
    """Return the expectation that the table has at least `low` and at most `high` rows."""
    from great_expectations.expectations.core.expect_table_row_count_to_be_between import ExpectTableRowCountToBeBetween

    most = "" if high is None else f" and at most {high:,}"
    says = f"the table has at least {low:,} rows{most}"
    return ExpectTableRowCountToBeBetween(min_value=low, max_value=high, description=says)


def expect_mean(column: str, *, low: float, high: float) -> "Expectation":
    """Return the expectation that the mean of `column` lies within `low` and `high`, both included."""
    from great_expectations.expectations.core.expect_column_mean_to_be_between import ExpectColumnMeanToBeBetween

    says = f"the mean lies between {low:.4g} and {high:.4g}"
    return ExpectColumnMeanToBeBetween(column=column, min_value=low, max_value=high, description=says)


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
    rule: str,
    condition: str,
    *,
    column: str,
    key: Sequence[str],
    says: str,
    null_passes: bool = False,
    remedy: str = "",
) -> "Expectation":
    """Return the expectation that `condition`, a SQL expression over one row, holds everywhere.

    A condition that is null counts as broken unless `null_passes`.
    """
    query = f"select {', '.join(key)} from {{batch}} where not coalesce({condition}, {null_passes})"
    return expect_none(rule, query, column=column, says=says, remedy=remedy)


def run_gate(suites: Sequence[Suite], *, database: Path | Database, docs: Path) -> Verdict:
    """Run the suites of one seam inside a `database` and write their pages to `docs/<seam>/index.html`.

    A path is a DuckDB file; it is opened for reading only and let go again. Raises GateError when there is nothing to
    run, the suites belong to several seams, the file is missing, or a profile cannot be computed.
    """
    from expectations.docs import build_pages, new_context
    from expectations.engine import open_warehouse

    seam = _only_seam(suites)
    if isinstance(database, Path) and not database.exists():
        raise GateError(f"The {seam} gate found no warehouse at {database}: run the stage before it first.")
    with build_pages(docs / seam) as folder:
        context = new_context(folder)
        given = Database.of_file(database) if isinstance(database, Path) else database
        with open_warehouse(context, given) as warehouse:
            results = [_run_suite(context, warehouse, suite) for suite in suites]
        context.build_data_docs()
    findings = tuple(chain.from_iterable(map(_read_findings, suites, results)))
    passed = not any(finding.closes for finding in findings)
    return Verdict(seam=seam, passed=passed, findings=findings, docs_page=docs / seam / "index.html")


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


def _read_findings(suite: Suite, result: "ExpectationSuiteValidationResult") -> Iterator[Finding]:
    for one in result.results:
        yield from _read_finding(suite.table, one)


def _read_finding(table: str, result: "ExpectationValidationResult") -> Iterator[Finding]:
    """Yield one finding, or one for each offending column."""
    config = result.expectation_config
    if config is None:
        raise GateError(f"An expectation of {table} came back without its own description: run the gate again.")
    offenders: list[dict[str, str]] = result.result.get("keys", [])
    columns = [offender for offender in offenders if "column_name" in offender]
    whole = Finding(
        table=table,
        expectation=str(config.kwargs.get("rule", config.type)),
        column=config.kwargs.get("column"),
        passed=bool(result.success),
        expected=str(config.description or config.type),
        observed=_observe(result, offenders),
        remedy=str(config.kwargs.get("remedy", "")),
        is_warning=bool(config.kwargs.get("is_warning", False)),
        count_offenders=int(result.result.get("count", 0)),
        offenders=tuple(", ".join(offender.values()) for offender in offenders[:SHOWN]),
    )
    for offender in columns:
        observed = _name_values({name: value for name, value in offender.items() if name != "column_name"})
        yield replace(whole, column=offender["column_name"], observed=observed, count_offenders=1, offenders=())
    if not columns:
        yield whole


def _name_values(offender: Mapping[str, str]) -> str:
    if "observed" in offender:
        return offender["observed"]
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in offender.items())


def _observe(result: "ExpectationValidationResult", offenders: Sequence[Mapping[str, str]]) -> str:
    """Return what was found, or the first line of what went wrong in asking."""
    if count := int(result.result.get("count", 0)):
        named = "; ".join(_name_values(offender) for offender in offenders[:NAMED])
        if "observed" in offenders[0]:
            return named
        more = f" and {count - NAMED:,} more" if count > NAMED else ""
        return f"{count:,} rows: {named}{more}" if count > 1 else f"1 row: {named}"
    if "count" in result.result:
        return "no offenders"
    if "observed_value" in result.result:
        value = result.result["observed_value"]
        return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return _first_line(_find_message(result.exception_info))


def _find_message(raised: Any) -> str:  # noqa: ANN401 - one error, or errors by metric
    if "exception_message" in raised:
        return str(raised["exception_message"])
    return next((_find_message(error) for error in raised.values()), "no result")


def _first_line(message: str) -> str:
    return message.strip().split("\n", maxsplit=1)[0][:300]
