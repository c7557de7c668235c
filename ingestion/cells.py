"""One canonical column as SQL: its typed value, what may be shown of it, what is fixed, and what makes its row bad."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from company.cleaning import Bound
from company.company_file import TOKEN_KEY
from company.contract import AHEAD_DAYS, EARLIEST_MOMENT, END_AHEAD_DAYS, Column, ColumnType
from ingestion.expressions import Expression
from ingestion.readers.extract import quoted
from ingestion.tokens import EMAIL, PHONE, Tokeniser, age_band, email_domain, normalised
from ingestion.values import COMMA, DAY_OR_MONTH, Reading

FLOAT_ID, GROUPED = "float_id", "may_be_grouped"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_EXACT = {"DOUBLE": 2**53, "FLOAT": 2**24}  # up to here every whole number has a floating-point number of its own
_SCIENTIFIC = r"[+-]?\d([.,]\d+)?[eE]\+\d+"
_DIGITS_LOST = "more digits than a floating-point number holds: have it exported as text"
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

    `trimmed` is what is left of text without blanks, `filled` without words for nothing, `parsed` the value that it
    means, and `value` the value that is kept; each stands under a name of its own for what follows. `shown` is text for
    the quarantine, or None where the column is not mapped; `bad` pairs conditions with reasons, `fixed` pairs
    conditions with the rule that repaired the value; `personal` is the normalised text that a token stands for, and
    `clear` the text as it came.
    """

    name: str
    value: str
    trimmed: str | None = None
    filled: str | None = None
    parsed: str | None = None
    shown: str | None = None
    bad: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    personal: str | None = None
    clear: str | None = None


def held(name: str) -> str:
    """Return the column that holds the typed value of the canonical column `name`."""
    return quoted(name + "=")


CONTACT_ID = f"an e-mail address or a telephone number as id: set `{TOKEN_KEY}`, so that it becomes a token"
CREDIT_NOTE = " (declare credit notes by `cleaning.returns.negative_amounts`)"


def mapped_cell(
    column: Column,
    kind: str,
    expression: Expression,
    *,
    reading: Reading,
    tokens: Tokeniser | None,
    on: date,
    bounds: Sequence[Bound] = (),
) -> Cell:
    """Return the cell of a mapped column whose source expression has the DuckDB type `kind`.

    A value that cannot be read, or cannot be, makes its row bad where the column costs the row; else it is emptied.
    `on` is the day of the landing. An id that is an e-mail address or a telephone number becomes a token; without
    `tokens` it makes its row bad.
    """
    raw, trimmed, filled, parsed = (quoted(column.name + sign) for sign in ("", "-", "~", "@"))
    is_text = kind == "VARCHAR"
    given = f"coalesce({raw}::varchar, {quoted(column.name + '<')}::varchar)" if expression.given else f"{raw}::varchar"
    unreadable = [*_lost(column, expression), *_misfits(column, kind, filled, parsed, reading)]
    impossible = [*_implausible(column, parsed, on), *(fault for bound in bounds for fault in _outside(bound, parsed))]
    bad = [*unreadable, *impossible] if column.costs_row else []
    bad += _too_long(column, kind, filled)
    bad += [(f"{held(column.name)} is null", "missing")] if column.is_required else []
    contact = _contact(filled) if is_text and _is_id(column) else None
    bad += [(contact, CONTACT_ID)] if contact and not tokens else []
    emptied = (
        [] if column.costs_row else [(_any(unreadable), "unreadable_value"), (_any(impossible), "impossible_value")]
    )
    open_end = _open_end(column, parsed, on)
    gone = [condition for condition, _ in (*emptied, (open_end, "")) if condition]
    fixed = [
        *_trimmed(column, kind),
        *(reading.fixed_moment(filled) if column.type is ColumnType.MOMENT and is_text else ()),
        *_doubted(column, kind, filled, expression, reading),
        *(
            (condition, rule)
            for condition, rule in (*emptied, (open_end, "open_end"), (contact, "contact_id"))
            if condition
        ),
    ]
    return Cell(
        name=column.name,
        trimmed=reading.trimmed(raw, is_id=_is_id(column)) if is_text else None,
        filled=reading.without_null_words(trimmed) if is_text else raw,
        parsed=_without_contact(_typed(column, kind, filled, reading), contact, filled, tokens),
        value=f"case when not coalesce({' or '.join(gone)}, false) then {parsed} end" if gone else parsed,
        shown=_shown(column, given),
        bad=tuple(dict.fromkeys(bad)),
        fixed=tuple(fixed),
    )


def personal_cell(column: Column, *, has_kind: bool, on: str, reading: Reading) -> Cell:
    """Return the cell of a mapped personal column: its token, which a join with the dictionary of tokens brings.

    An impossible day, before the column's earliest or after the landing day `on`, is emptied.
    """
    absurd = impossible_day(column, on=on)
    text = f"({reading.filled(f'{quoted(column.name)}::varchar')})"
    text = f"case when not coalesce({absurd}, false) then {text} end" if absurd else text
    same = normalised(column.name, text, kind=quoted("kind") if has_kind else None)
    token = quoted(column.name + "#")
    bad = ((f"{held(column.name)} is null", "missing"),) if column.is_required else ()
    fixed = ((absurd, "impossible_value"),) if absurd else ()
    return Cell(name=column.name, value=token, shown=token, bad=bad, fixed=fixed, personal=same, clear=text)


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


def _shown(column: Column, given: str) -> str:
    """Return SQL for what the quarantine shows of a value: any text could hold anybody's data."""
    if column.name.endswith("_id"):
        return (
            rf"regexp_replace(regexp_replace({given}, '\S+@\S+', '<e-mail>', 'g'), '\+\d[\d ()/.-]+', '<phone>', 'g')"
        )
    return shape(given) if column.type is ColumnType.TEXT else f"coalesce({held(column.name)}::varchar, {shape(given)})"


def _contact(filled: str) -> str:
    """Return the condition that an id is an e-mail address or a telephone number with its country."""
    return (
        f"case when contains({filled}, '@') then regexp_full_match({filled}, '{EMAIL}') "
        f"when starts_with({filled}, '+') then regexp_full_match({filled}, '{PHONE}') else false end"
    )


def _without_contact(value: str, contact: str | None, filled: str, tokens: Tokeniser | None) -> str:
    """Return SQL for an id, a token where it is a contact: the one that the same contact has in its own column."""
    if not contact or not tokens:
        return value
    same = (
        f"case when contains({filled}, '@') then {normalised('email', filled)} else {normalised('phone', filled)} end"
    )
    return f"case when {contact} then {tokens.token(f'({same})')} else {value} end"


def _is_id(column: Column) -> bool:
    return column.type is ColumnType.TEXT and column.name.endswith("_id")


def _any(faults: Sequence[tuple[str, str]]) -> str | None:
    return f"({' or '.join(condition for condition, _ in faults)})" if faults else None


def _lost(column: Column, expression: Expression) -> list[tuple[str, str]]:
    """Return the condition that the expression itself lost a value, with the reason."""
    if not expression.lost:
        return []
    lost = f"coalesce({quoted(column.name + '?')}, false)"
    comma = [(f"({lost} and {quoted(column.name + ',')})", COMMA)] if expression.has_comma else []
    return [*comma, (lost, "unreadable")]


def _outside(bound: Bound, parsed: str) -> list[tuple[str, str]]:
    """Return the conditions that a value lies outside of `bound`, with their reasons."""
    told, whose = "", ""
    if bound.metric:
        told, whose = f" for {bound.metric}", f"{quoted('metric@')} = '{bound.metric}' and "
    ends = (("<", "below", bound.low), (">", "above", bound.high))
    return [
        (f"({whose}{parsed} {sign} {end})", f"{word} {end:.12g}{told}") for sign, word, end in ends if end is not None
    ]


def _implausible(column: Column, parsed: str, on: date) -> list[tuple[str, str]]:
    """Return the conditions that a value cannot be, by the contract alone, with their reasons."""
    hint = CREDIT_NOTE if column.is_credited else ""
    ends = (("<", "below", column.low, hint), (">", "above", column.high, ""))
    faults = [(f"{parsed} {sign} {end}", f"{word} {end:g}{fix}") for sign, word, end, fix in ends if end is not None]
    if column.type is ColumnType.MOMENT and not column.is_end:
        latest = on + timedelta(days=AHEAD_DAYS)
        faults.append(
            (f"{parsed} < timestamp '{EARLIEST_MOMENT}'", f"not a believable moment: before {EARLIEST_MOMENT}")
        )
        faults.append((f"{parsed} >= timestamp '{latest}'", f"not a believable moment: after {latest}"))
    return faults


def _open_end(column: Column, parsed: str, on: date) -> str | None:
    """Return the condition that a moment stands for an end that has not come: nobody believes that day."""
    if not column.is_end:
        return None
    latest = on + timedelta(days=END_AHEAD_DAYS)
    return (
        f"({parsed} < timestamp '{EARLIEST_MOMENT}' or {parsed} = timestamp '1970-01-01' "
        f"or {parsed} >= timestamp '{latest}')"
    )


def _too_long(column: Column, kind: str, filled: str) -> list[tuple[str, str]]:
    """Return the conditions that digits of an id were lost before it came here."""
    if not _is_id(column):
        return []
    if kind in _EXACT:
        return [(f"(not isnan({filled}) and abs({filled}) >= {_EXACT[kind]})", _DIGITS_LOST)]
    if kind != "VARCHAR":
        return []
    float_text = (
        f"(regexp_full_match({filled}, '\\d{{16,}}\\.0') and try_cast({filled} as double) >= {_EXACT['DOUBLE']})"
    )
    mantissa, power = (
        rf"length(regexp_extract({filled}, '[.,](\d+)', 1))",
        rf"regexp_extract({filled}, '\d+$')::hugeint",
    )
    lost = f"case when regexp_full_match({filled}, '{_SCIENTIFIC}') then {mantissa} < {power} else {float_text} end"
    return [(lost, _DIGITS_LOST)]


def _trimmed(column: Column, kind: str) -> list[tuple[str, str]]:
    """Return when blanks around a text were taken away, and when it was a word for nothing."""
    if kind != "VARCHAR" or column.type is not ColumnType.TEXT:
        return []
    raw, trimmed, filled = (quoted(column.name + sign) for sign in ("", "-", "~"))
    return [
        (f"coalesce({filled} <> {raw}, false)", "blanks"),
        (f"case when {filled} is null then coalesce({trimmed} <> '', false) else false end", "null_word"),
    ]


def _doubted(column: Column, kind: str, filled: str, expression: Expression, reading: Reading) -> list[tuple[str, str]]:
    """Return when a value can only be judged beside the others of its column."""
    if _is_id(column) and kind == "VARCHAR":
        is_float = f"case when suffix({filled}, '.0') then regexp_full_match({filled}, '\\d+\\.0') else false end"
        return [(is_float, FLOAT_ID)]
    if column.type not in {ColumnType.NUMBER, ColumnType.INTEGER} or not column.costs_row:
        return []
    if expression.may_be_grouped:
        return [(f"coalesce({quoted(column.name + '.')}, false)", GROUPED)]
    grouped = reading.may_be_grouped(filled) if kind == "VARCHAR" else None
    return [(f"coalesce({grouped}, false)", GROUPED)] if grouped else []


def _typed(column: Column, kind: str, filled: str, reading: Reading) -> str:
    """Return SQL for the value in the column's type, null where it does not fit."""
    if column.type is ColumnType.MOMENT:
        return reading.moment(kind, filled)
    if column.type is ColumnType.TEXT:
        return _as_text(kind, filled, is_id=_is_id(column))
    if kind in _WHOLE:
        return f"({filled})::{column.type.value}"
    is_number = kind == "VARCHAR" and column.type in {ColumnType.NUMBER, ColumnType.INTEGER}
    return f"try_cast({reading.number(filled) if is_number else filled} as {column.type.value})"


def _as_text(kind: str, filled: str, *, is_id: bool) -> str:
    """Return SQL for a value as text: a whole number without what a decimal or floating-point type adds to it."""
    text = f"({filled})::varchar"
    if kind.startswith("DECIMAL"):
        return f"case when contains({text}, '.') then rtrim(rtrim({text}, '0'), '.') else {text} end"
    if kind in _EXACT:
        whole = f"{filled} = trunc({filled}) and abs({filled}) < {_EXACT[kind]}"
        return f"case when isnan({filled}) then null when {whole} then {filled}::bigint::varchar else {text} end"
    if kind == "VARCHAR" and is_id:
        digits = f"replace(replace(regexp_extract({filled}, '^[^eE]+'), '.', ''), ',', '')"
        return f"case when regexp_full_match({filled}, '{_SCIENTIFIC}') then {digits} else {text} end"
    return text


def _misfits(column: Column, kind: str, filled: str, parsed: str, reading: Reading) -> list[tuple[str, str]]:
    """Return the conditions that a value does not fit its type, with their reasons, if that can be.

    Each typed value is computed once and asked first, since almost every one fits.
    """
    numbers = {ColumnType.INTEGER, ColumnType.NUMBER}
    if column.type is ColumnType.TEXT or (kind in _WHOLE and column.type in numbers):
        return []
    hint = None
    if kind == "VARCHAR" and column.type in numbers:
        hint = (reading.has_comma(filled), COMMA)
    if kind == "VARCHAR" and column.type is ColumnType.MOMENT:
        hint = (reading.day_is_in_doubt(filled), DAY_OR_MONTH)
    strange = {
        ColumnType.INTEGER: f"try_cast({filled} as double) <> {parsed}" if not reading.has_signs else "false",
        ColumnType.NUMBER: f"not isfinite({parsed})",
    }.get(column.type, "false")
    hinted = [(f"case when {parsed} is null then {hint[0]} else false end", hint[1])] if hint and hint[0] else []
    misfit = f"case when {parsed} is null then {filled} is not null else {strange} end"
    return [*hinted, (misfit, _MISFIT[column.type])]
