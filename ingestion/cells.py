"""One canonical column as SQL: its typed value, what may be shown of it, what is fixed, and what makes its row bad."""

from collections.abc import Sequence
from dataclasses import dataclass

from company.cleaning import Bound
from company.contract import Column, ColumnType
from ingestion.expressions import Expression
from ingestion.readers.extract import quoted
from ingestion.tokens import age_band, email_domain, normalised

_OFFSET = r"(?i):\d{2}(\.\d+)?\s*(z|utc|[+-]\d{2}(:?\d{2})?)$"
_DAY_FIRST = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b"
_EPOCH_UNITS = {10: 1_000_000, 13: 1_000}  # digits of a count since 1970 -> its unit in microseconds
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
    the column is not mapped; `bad` pairs conditions with reasons, `fixed` pairs conditions with the rule that repaired
    the value; `personal` is the normalised text that a token stands for, and `clear` the text as it came.
    """

    name: str
    value: str
    shown: str | None = None
    bad: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    personal: str | None = None
    clear: str | None = None


def held(name: str) -> str:
    """Return the column that holds the typed value of the canonical column `name`."""
    return quoted(name + "=")


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How a feed writes moments: the `zone` of those without one, and whether days may stand before months."""

    zone: str
    day_first: bool = False


def mapped_cell(
    column: Column, kind: str, expression: Expression, *, clock: Clock, veiled: bool, bounds: Sequence[Bound] = ()
) -> Cell:
    """Return the cell of a mapped column whose source expression has the DuckDB type `kind`.

    Values outside of `bounds` make their row bad. With `veiled`, text of the row is shown by its shape only.
    """
    raw, typed = quoted(column.name), held(column.name)
    filled = f"nullif(trim({raw}), '')" if kind == "VARCHAR" else raw
    given = f"coalesce({raw}::varchar, {quoted(column.name + '<')}::varchar)" if expression.given else f"{raw}::varchar"
    bad = [(f"coalesce({quoted(column.name + '?')}, false)", "unreadable")] if expression.lost else []
    bad += [(misfit, _MISFIT[column.type]) for misfit in _misfit(column, kind, filled)]
    bad += [(f"{typed} is null", "missing")] if column.is_required else []
    bad += [(f"{typed} < {column.low}", f"below {column.low:g}")] if column.low is not None else []
    bad += [(f"{typed} > {column.high}", f"above {column.high:g}")] if column.high is not None else []
    bad += [fault for bound in bounds for fault in _outside(bound, typed)]
    return Cell(
        name=column.name,
        value=_typed(column, kind, filled, clock),
        shown=_shown(column, given, veiled=veiled),
        bad=tuple(dict.fromkeys(bad)),
        fixed=_mended_moment(filled, clock) if column.type is ColumnType.MOMENT and kind == "VARCHAR" else (),
    )


def personal_cell(column: Column, *, has_kind: bool, on: str) -> Cell:
    """Return the cell of a mapped personal column: its token, which a join with the dictionary of tokens brings.

    An impossible day, before the column's earliest or after the landing day `on`, is emptied.
    """
    absurd = impossible_day(column, on=on)
    text = f"{quoted(column.name)}::varchar"
    text = f"case when not coalesce({absurd}, false) then {text} end" if absurd else text
    same = normalised(column.name, text, kind=quoted("kind") if has_kind else None)
    token = quoted(column.name + "#")
    bad = ((f"{held(column.name)} is null", "missing"),) if column.is_required else ()
    fixed = ((absurd, "impossible_value"),) if absurd else ()
    return Cell(name=column.name, value=token, shown=token, bad=bad, fixed=fixed, personal=same, clear=f"trim({text})")


def impossible_day(column: Column, *, on: str) -> str | None:
    """Return the condition that a day is before the column's earliest or after the day `on`, if it has an earliest."""
    if column.earliest is None:
        return None
    day = f"try_cast({quoted(column.name)} as date)"
    return f"({day} < date '{column.earliest}' or {day} > date '{on}')"


def unmapped_cell(column: Column, mapped: frozenset[str], *, on: str, birth: Column | None = None) -> Cell:
    """Return the cell of a column that is not mapped: null, or a coarse attribute of personal data that is.

    `birth` is the day of birth in the same table, whose impossible days give no age.
    """
    value = f"null::{column.type.value}"
    if column.name == "email_domain" and "email" in mapped:
        value = email_domain(f"{quoted('email')}::varchar")
    if column.name == "age_band" and "birth_date" in mapped:
        value = age_band(quoted("birth_date"), on=f"date '{on}'")
        absurd = impossible_day(birth, on=on) if birth else None
        value = f"case when not coalesce({absurd}, false) then {value} end" if absurd else value
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


def _outside(bound: Bound, typed: str) -> list[tuple[str, str]]:
    """Return the conditions that a value lies outside of `bound`, with their reasons."""
    told, whose = "", ""
    if bound.metric:
        told, whose = f" for {bound.metric}", f"{held('metric')} = '{bound.metric}' and "
    ends = (("<", "below", bound.low), (">", "above", bound.high))
    return [(f"{whose}{typed} {sign} {end}", f"{word} {end:.12g}{told}") for sign, word, end in ends if end is not None]


def _mended_moment(filled: str, clock: Clock) -> tuple[tuple[str, str], ...]:
    """Return when a text is no plain ISO moment and was read all the same; UTC written as Z is plain."""
    offset = f"not suffix({filled}, 'Z') and regexp_matches({filled}, '{_OFFSET}')"
    day_first = f"regexp_matches({filled}, '{_DAY_FIRST}')"
    return (
        (_is_epoch(filled), "epoch_time"),
        (offset, "offset_time"),
        *(((day_first, "day_first_time"),) if clock.day_first else ()),
    )


def _is_epoch(filled: str) -> str:
    digits = ", ".join(str(digits) for digits in _EPOCH_UNITS)
    return f"strlen({filled}) in ({digits}) and {_number(filled)} is not null"


def _number(filled: str) -> str:
    return f"try_cast({filled} as ubigint)"


def _typed(column: Column, kind: str, filled: str, clock: Clock) -> str:
    """Return SQL for the value in the column's type, null where it does not fit."""
    if column.type is ColumnType.MOMENT:
        return _moment(kind, filled, clock)
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


def _moment(kind: str, filled: str, clock: Clock) -> str:
    """Return SQL for a UTC timestamp; what carries no zone of its own is in the clock's.

    Text may be ISO, with an offset or without, or a count since 1970 of ten digits (seconds) or thirteen
    (milliseconds). DuckDB's cast of text to a plain timestamp drops a written offset, so such text goes through its
    zoned type.
    """

    def in_utc(naive: str) -> str:
        return naive if clock.zone == "UTC" else f"timezone('UTC', timezone('{clock.zone}', {naive}))"

    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"timezone('UTC', {filled})"
    if kind != "VARCHAR":
        return in_utc(filled if kind == "TIMESTAMP" else f"try_cast({filled} as timestamp)")
    since_1970 = " ".join(
        f"when strlen({filled}) = {digits} and {_number(filled)} is not null "
        f"then make_timestamp({_number(filled)}::bigint * {unit})"
        for digits, unit in _EPOCH_UNITS.items()
    )
    ordered = rf"regexp_replace({filled}, '{_DAY_FIRST}', '\3-\2-\1')" if clock.day_first else filled
    joined = rf"regexp_replace({ordered}, '\s+([+-]\d)', '\1')"
    zoned = f"timezone('UTC', try_cast({joined} as timestamptz))"
    plain = in_utc(f"try_cast({ordered} as timestamp)")
    zulu = f"when suffix({filled}, 'Z') then try_cast({filled} as timestamp)"  # most logs, by the shortest way
    return f"case {zulu} {since_1970} when regexp_matches({filled}, '{_OFFSET}') then {zoned} else {plain} end"
