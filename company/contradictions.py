"""What the parts of a company file say against one another, and against the contract of the canonical tables."""

from dataclasses import replace
from typing import TYPE_CHECKING

from company.contract import TABLES, ColumnType
from company.file_faults import Fault, suggest
from company.industries import names

if TYPE_CHECKING:
    from company.company_file import Company, Feed


def find_contradictions(company: "Company") -> list[Fault]:
    """Return what the parts of a company file, each valid by itself, say against one another or the contract."""
    faults = [
        *_missing_tables(company),
        *_industry_faults(company),
        *_cleaning_faults(company),
        *_strategy_faults(company),
    ]
    for table, feeds in company.tables.items():
        if table not in TABLES:
            problem = f"`{table}` is no canonical table."
            faults.append(Fault(key=f"tables.{table}", problem=problem, fix=suggest(table, TABLES)))
            continue
        faults += [fault for feed in feeds for fault in _feed_faults(company, table, feed)]
        faults += _shared_sources(table, feeds)
    return faults


def _missing_tables(company: "Company") -> list[Fault]:
    faults = []
    if "customers" not in company.tables:
        faults.append(
            Fault(key="tables", problem="the table `customers` is not connected.", fix="Add `tables.customers`.")
        )
    if not {"orders", "subscriptions"} & set(company.tables):
        problem = "neither `orders` nor `subscriptions` is connected, so that nobody could ever be lost."
        faults.append(Fault(key="tables", problem=problem, fix="Add `tables.orders` or `tables.subscriptions`."))
    return faults


def _industry_faults(company: "Company") -> list[Fault]:
    if company.industry not in names():
        problem = f"`{company.industry}` is no industry that Holdfast knows."
        return [Fault(key="industry", problem=problem, fix=suggest(company.industry, names()))]
    if not {"orders", "subscriptions"} & set(company.tables):
        return []  # that is a fault of its own
    definitions = [("churn", company.churn)]
    definitions += [(f"churn_also.{place}", churn) for place, churn in enumerate(company.churn_also)]
    return [
        Fault(
            key=f"{key}.definition",
            problem=f"the definition `{churn.definition}` reads the table `{churn.table}`, which is not connected.",
            fix=f"Connect `tables.{churn.table}`, or choose a definition that does without.",
        )
        for key, churn in definitions
        if churn.table not in company.tables
    ]


def _cleaning_faults(company: "Company") -> list[Fault]:
    rules = company.cleaning
    named = [(f"bounds.{place}", bound.table, bound.column) for place, bound in enumerate(rules.bounds)]
    for key, declared in (("vocabulary", rules.vocabulary), ("fills", rules.fills)):
        named += [(f"{key}.{table}.{name}", table, name) for table, columns in declared.items() for name in columns]
    faults = (_column_fault(f"cleaning.{key}", table, column) for key, table, column in named)
    return [fault for fault in faults if fault]


def _strategy_faults(company: "Company") -> list[Fault]:
    if company.strategies is None or company.strategy_files:
        return []
    problem = f"the folder `{company.strategies}` holds no YAML file."
    fix = "Name a folder with strategy files (*.yaml), relative to this file, or take the key out."
    return [Fault(key="strategies", problem=problem, fix=fix)]


def _column_fault(key: str, table: str, column: str) -> Fault | None:
    """Return what is wrong with a cleaning rule on `table.column`, if anything is."""
    if table not in TABLES:
        return Fault(key=key, problem=f"`{table}` is no canonical table.", fix=suggest(table, TABLES))
    contract = TABLES[table]
    if column not in contract.names:
        problem = f"`{column}` is no column of the canonical table `{table}`."
        return Fault(key=key, problem=problem, fix=suggest(column, contract.names))
    wanted = {ColumnType.NUMBER, ColumnType.INTEGER} if ".bounds." in key else {ColumnType.TEXT}
    fitting = [c.name for c in contract.columns if c.type in wanted and not c.personal and c.name not in contract.key]
    if column in fitting:
        return None
    word = "a number" if ".bounds." in key else "a text that may be rewritten"
    return Fault(key=key, problem=f"`{table}.{column}` is not {word}.", fix=suggest(column, fitting))


def _shared_sources(table: str, feeds: "tuple[Feed, ...]") -> list[Fault]:
    sources = [feed.source for feed in feeds]
    twice = sorted({source for source in sources if sources.count(source) > 1})
    fix = "Write one entry whose `from` is a `union all` of the two."
    problem = "two entries read this table from the source `{}`."
    return [Fault(key=f"tables.{table}", problem=problem.format(source), fix=fix) for source in twice]


def _feed_faults(company: "Company", table: str, feed: "Feed") -> list[Fault]:
    key, contract = company.key_of(table, feed), TABLES[table]
    faults = []
    if feed.source not in company.sources:
        problem = f"the source `{feed.source}` is not declared."
        fix = f"{suggest(feed.source, company.sources)} Sources are declared under `sources`."
        faults.append(Fault(key=f"{key}.source", problem=problem, fix=fix))
    for name in feed.columns:
        if name not in contract.names:
            problem = f"`{name}` is no column of the canonical table `{table}`."
            faults.append(Fault(key=f"{key}.columns.{name}", problem=problem, fix=suggest(name, contract.names)))
    for column in contract.columns:
        if column.is_required and column.name not in feed.columns:
            problem = f"the required column `{column.name}` ({column.description}) is not mapped."
            fix = f"Add `{column.name}: <SQL expression>`."
            faults.append(Fault(key=f"{key}.columns", problem=problem, fix=fix))
    return [
        *faults,
        *_extra_faults(company, key, table, feed),
        *_freshness_faults(key, table, feed),
        *_increment_faults(company, key, feed),
    ]


def _extra_faults(company: "Company", key: str, table: str, feed: "Feed") -> list[Fault]:
    """Return what is wrong with the company's own columns: where they stand, and what they are called."""
    if feed.extra and table != "customers":
        fix = "Take it out, or bring the figures with their days as metrics of the table `usage`."
        return [Fault(key=f"{key}.extra", problem="only `customers` can have columns of your own.", fix=fix)]
    contract, faults = TABLES[table], []
    for name, extra in feed.extra.items():
        place = f"{key}.extra.{name}"
        if name in contract.names:
            personal = contract.column(name).personal
            fix = "It is personal data: map it under `columns`." if personal else f"Map it: `columns.{name}`."
            faults.append(Fault(key=place, problem=f"`{name}` is a canonical column of `{table}`.", fix=fix))
        others = [other.extra[name] for other in company.tables[table] if name in other.extra]
        if any(other.model_dump(exclude={"sql"}) != extra.model_dump(exclude={"sql"}) for other in others):
            problem = f"two feeds declare `{name}` with another `type`, `never_changes`, `low` or `high`."
            faults.append(Fault(key=place, problem=problem, fix="Declare both alike, or give one another name."))
    return faults


def _freshness_faults(key: str, table: str, feed: "Feed") -> list[Fault]:
    moment = TABLES[table].moment
    if feed.fresh_within_days is None or moment in feed.columns:
        return []
    problem = "`fresh_within_days` is asked of rows that carry no moment."
    fix = f"Map `{moment}`, or take it out." if moment else "Take it out."
    return [Fault(key=f"{key}.fresh_within_days", problem=problem, fix=fix)]


def _increment_faults(company: "Company", key: str, feed: "Feed") -> list[Fault]:
    if feed.incremental and feed.group_by:
        problem = (
            "`incremental` and `group_by` contradict each other: a group may grow with rows that were read before."
        )
        return [Fault(key=f"{key}.incremental", problem=problem, fix="Take one of the two out.")]
    source = company.sources.get(feed.source)
    fault = source.find_fault(feed) if source else None
    return [replace(fault, key=f"{key}.{fault.key}")] if fault else []
