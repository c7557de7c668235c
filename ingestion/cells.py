"""One canonical column as SQL: its typed value, what may be shown of it, and the conditions that make its row bad."""

from dataclasses import dataclass

from ingestion.contract import Column, ColumnType
from ingestion.expressions import Expression
from ingestion.readers.extract import quoted
from ingestion.tokens import age_band, email_domain, normalised

_OFFSET = r"(?i):\d{2}(\.\d+)?\s*(z|utc|[+-]\d{2}(:?\d{2})?)$"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_MISFIT = {
    ColumnType.INTEGER: "not a whole number",
    ColumnType.NUMBER: "not a number",
    ColumnType.FLAG: "not true or false",
    ColumnType.MOMENT: "not a moment",
    ColumnType.DAY: "not a day",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One column of the query over mapped rows.

    `value` is typed, and stands under `held(name)` for what follows; `shown` is text for the quarantine, or None where
    the column is not mapped; `bad` pairs conditions with reasons; `personal` is the normalised text that a token stands
    for, and `clear` the text as it came.
    """

    name: str
    value: str
    shown: str | None = None
    bad: tuple[tuple[str, str], ...] = ()
    personal: str | None = None
    clear: str | None = None


def held(name: str) -> str:
    """Return the column that holds the typed value of the canonical column `name`."""
    return quoted(name + "=")


def mapped_cell(column: Column, kind: str, expression: Expression, *, zone: str, veiled: bool) -> Cell:
    """Return the cell of a mapped column whose source expression has the DuckDB type `kind`.

    Moments without a zone are in `zone`. With `veiled`, text of the row is shown by its shape only.
    """
    raw, typed = quoted(column.name), held(column.name)
    filled = f"nullif(trim({raw}), '')" if kind == "VARCHAR" else raw
    given = f"coalesce({raw}::varchar, {quoted(column.name + '<')}::varchar)" if expression.given else f"{raw}::varchar"
    bad = [(f"coalesce({quoted(column.name + '?')}, false)", "unreadable")] if expression.lost else []
    bad += [(misfit, _MISFIT[column.type]) for misfit in _misfit(column, kind, filled)]
    bad += [(f"{typed} is null", "missing")] if column.is_required else []
    bad += [(f"{typed} < {column.low}", f"below {column.low:g}")] if column.low is not None else []
    bad += [(f"{typed} > {column.high}", f"above {column.high:g}")] if column.high is not None else []
    return Cell(
        name=column.name,
        value=_typed(column, kind, filled, zone),
        shown=_shown(column, given, veiled=veiled),
        bad=tuple(bad),
    )


def personal_cell(column: Column, *, has_kind: bool) -> Cell:
    """Return the cell of a mapped personal column: its token, which a join with the dictionary of tokens brings."""
    text = f"{quoted(column.name)}::varchar"
    same = normalised(column.name, text, kind=quoted("kind") if has_kind else None)
    token = quoted(column.name + "#")
    bad = ((f"{held(column.name)} is null", "missing"),) if column.is_required else ()
    return Cell(name=column.name, value=token, shown=token, bad=bad, personal=same, clear=f"trim({text})")


def unmapped_cell(column: Column, mapped: frozenset[str], *, on: str) -> Cell:
    """Return the cell of a column that is not mapped: null, or a coarse attribute of personal data that is."""
    value = f"null::{column.type.value}"
    if column.name == "email_domain" and "email" in mapped:
        value = email_domain(f"{quoted('email')}::varchar")
    if column.name == "age_band" and "birth_date" in mapped:
        value = age_band(quoted("birth_date"), on=f"date '{on}'")
    return Cell(name=column.name, value=value)


def shape(text: str) -> str:
    """Return SQL for the shape of a text: letters become x and digits 9, so that it can be shown to anybody."""
    return rf"left(regexp_replace(regexp_replace({text}, '\p{{L}}', 'x', 'g'), '\d', '9', 'g'), 60)"


def _shown(column: Column, given: str, *, veiled: bool) -> str:
    if not veiled:
        return given
    if column.name.endswith("_id"):
        return rf"regexp_replace({given}, '\S+@\S+', '<e-mail>', 'g')"
    return shape(given) if column.type is ColumnType.TEXT else f"coalesce({held(column.name)}::varchar, {shape(given)})"


def _typed(column: Column, kind: str, filled: str, zone: str) -> str:
    """Return SQL for the value in the column's type, null where it does not fit."""
    if column.type is ColumnType.MOMENT:
        return _moment(kind, filled, zone)
    if column.type is ColumnType.TEXT and kind.startswith("DECIMAL"):
        text = f"({filled})::varchar"
        return f"case when contains({text}, '.') then rtrim(rtrim({text}, '0'), '.') else {text} end"
    if column.type is ColumnType.TEXT or kind in _WHOLE:
        return f"({filled})::{column.type.value}"
    return f"try_cast({filled} as {column.type.value})"


def _misfit(column: Column, kind: str, filled: str) -> list[str]:
    """Return the condition that a value does not fit its type, if that can be.

    Each typed value is computed once and asked first, since almost every one fits.
    """
    if column.type is ColumnType.TEXT or (kind in _WHOLE and column.type in {ColumnType.INTEGER, ColumnType.NUMBER}):
        return []
    typed = held(column.name)
    strange = {
        ColumnType.INTEGER: f"try_cast({filled} as double) <> {typed}",
        ColumnType.NUMBER: f"not isfinite({typed})",
        ColumnType.MOMENT: f"not isfinite({typed})",
    }.get(column.type, "false")
    return [f"case when {typed} is null then {filled} is not null else {strange} end"]


def _moment(kind: str, filled: str, zone: str) -> str:
    """Return SQL for a UTC timestamp; what carries no zone of its own is in `zone`.

    DuckDB's cast of text to a plain timestamp drops a written offset, so such text goes through its zoned type.
    """

    def in_utc(naive: str) -> str:
        return naive if zone == "UTC" else f"timezone('UTC', timezone('{zone}', {naive}))"

    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"timezone('UTC', {filled})"
    if kind != "VARCHAR":
        return in_utc(filled if kind == "TIMESTAMP" else f"try_cast({filled} as timestamp)")
    joined = rf"regexp_replace({filled}, '\s+([+-]\d)', '\1')"
    zoned = f"timezone('UTC', try_cast({joined} as timestamptz))"
    plain = in_utc(f"try_cast({filled} as timestamp)")
    return f"case when regexp_matches({filled}, '{_OFFSET}') then {zoned} else {plain} end"
