"""The closer look: names and addresses compared in clear by Splink, in memory, for the pairs that tokens leave open.

The clear values come from the vault, which records each asking, live in a database without a file that may not spill
to disk, and are gone when `compare` returns. What comes back is a probability and words that hold no value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log2
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.identity.rules import Comparison, Level, Rules
from ingestion.identity.spelling import letters, numbers, turned
from ingestion.vault import Asked, Vault

ASKER, PURPOSE = "identity", "compare names and addresses of records that may be the same customer's"
CLEAR = ("name", "address")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("customer_id", "kind", "name", "birth_date", "address", "phone", "email")]
    + [(name, pa.string()) for name in ("letters", "turned", "address_letters", "address_numbers")]
    + [("is_common_date", pa.bool_()), ("ids", pa.list_(pa.string()))]
)


class ComparisonError(Exception):
    """Splink could not compare; str() says so without any value."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The tokens of a record that is compared; `ids` are the devices and ids that it shares with another record."""

    source: str
    customer_id: str
    kind: str | None
    name: str | None
    birth_date: str | None
    address: str | None
    phone: str | None
    email: str | None
    is_common_date: bool = False
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How likely two records are the same customer's, and why in words."""

    left_id: str
    right_id: str
    probability: float
    evidence: str


def compare(profiles: Sequence[Profile], vault: Vault, *, rules: Rules, at: datetime) -> list[Likeness]:
    """Return the likeness of every two of `profiles` that share something, with names and addresses in clear.

    A record whose clear values the vault does not give, because its customer was erased, is left out.
    """
    asked = {asked for profile in profiles for asked in _askings(profile)}
    clear = vault.reveal_all(asked, asker=ASKER, purpose=PURPOSE, at=at)
    rows = [_spelled(profile, clear) for profile in profiles if set(_askings(profile)) <= clear.keys()]
    return _predict(pa.Table.from_pylist(rows, schema=_SCHEMA), rules) if len(rows) > 1 else []


def settings(rules: Rules) -> dict[str, Any]:
    """Return the model as Splink reads it."""
    model, similar = rules.comparison, rules.similar
    likeness = [f"jaro_winkler_similarity({left}_l, {right}_r)" for left, right in _READINGS]
    same_name = " or ".join(f"{left}_l = {right}_r" for left, right in _READINGS)
    begins = " or ".join(
        f"starts_with({left}_l, {right}_r) or starts_with({right}_r, {left}_l)" for left, right in _READINGS
    )
    similar_name = f"greatest({', '.join(likeness)}) >= {similar.name} or {begins}"
    address = f"""(address_l = address_r or (address_numbers_l = address_numbers_r
        and jaro_winkler_similarity(address_letters_l, address_letters_r) >= {similar.address}))"""
    contact = "(phone_l = phone_r or email_l = email_r or list_has_any(ids_l, ids_r))"
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "customer_id",
        "probability_two_random_records_match": model.prior,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "blocking_rules_to_generate_predictions": list(_BLOCKS),
        "comparisons": [
            _comparison("name", "letters", model.name, [same_name, similar_name]),
            _comparison(
                "birth_date", "birth_date", model.birth_date, [f"{_SAME_DATE} and not is_common_date_l", _SAME_DATE]
            ),
            _comparison("contact", "customer_id", model.contact, [f"{address} and {contact}", contact, address]),
        ],
    }


_READINGS = (("letters", "letters"), ("letters", "turned"), ("turned", "letters"))
_SAME_DATE = "birth_date_l = birth_date_r"
_BLOCKS = (
    "l.address = r.address",
    "l.phone = r.phone",
    "l.email = r.email",
    "l.name = r.name and l.birth_date = r.birth_date",
    "l.birth_date = r.birth_date and list_has_any(l.ids, r.ids)",
    "l.name = r.name and list_has_any(l.ids, r.ids)",
)


def _askings(profile: Profile) -> list[Asked]:
    tokens = {column: getattr(profile, column) for column in CLEAR}
    return [
        Asked(source=profile.source, customer_id=profile.customer_id, column=column, token=token)
        for column, token in tokens.items()
        if token is not None
    ]


def _spelled(profile: Profile, clear: Mapping[Asked, str]) -> dict[str, object]:
    text = {asked.column: clear[asked] for asked in _askings(profile)}
    name, address = text.get("name"), text.get("address")
    return {
        **{column: getattr(profile, column) for column in _SCHEMA.names if hasattr(profile, column)},
        "letters": letters(name),
        "turned": turned(name),
        "address_letters": letters(address),
        "address_numbers": numbers(address),
        "ids": list(profile.ids),
    }


def _comparison(name: str, column: str, levels: Sequence[Level], conditions: Sequence[str]) -> dict[str, Any]:
    """Return one comparison: a level per condition, the last for whatever meets none; null decides nothing."""
    unknown = {
        "sql_condition": f"{column}_l is null or {column}_r is null",
        "is_null_level": True,
        "label_for_charts": "unknown",
    }
    known = [
        {"sql_condition": sql, "label_for_charts": level.label, "m_probability": level.m, "u_probability": level.u}
        for level, sql in zip(levels, [*conditions, "ELSE"], strict=True)
    ]
    return {"output_column_name": name, "comparison_levels": [unknown, *known]}


def _predict(rows: pa.Table, rules: Rules) -> list[Likeness]:
    from splink import DuckDBAPI, Linker
    from splink.internals.exceptions import SplinkException

    with duckdb.connect(":memory:", config={"temp_directory": ""}) as connection:
        try:
            linker = Linker(DuckDBAPI(connection).register(rows), settings(rules), log_level=None)
            found = linker.inference.predict(warning_mode="never").as_duckdbpyrelation().to_arrow_table()
        except (SplinkException, duckdb.Error) as error:
            raise ComparisonError(f"Splink could not compare the records ({type(error).__name__}).") from None
    return [_likeness(row, rules.comparison) for row in found.to_pylist()]


def _likeness(row: Mapping[str, Any], model: Comparison) -> Likeness:
    left, right = sorted((row["customer_id_l"], row["customer_id_r"]))
    levels = {"name": model.name, "birth_date": model.birth_date, "contact": model.contact}
    words = [f"{_label(row[f'mw_{name}'], known)} ({row[f'mw_{name}']:+.1f})" for name, known in levels.items()]
    return Likeness(
        left_id=left,
        right_id=right,
        probability=float(row["match_probability"]),
        evidence="compared in clear, weights in bits: " + ", ".join(words),
    )


def _label(weight: float, levels: Sequence[Level]) -> str:
    """Return the label of the level that has this match weight, log2(m / u)."""
    if abs(weight) < _UNDECIDED and not any(abs(log2(level.m / level.u)) < _UNDECIDED for level in levels):
        return "unknown"
    return min(levels, key=lambda level: abs(log2(level.m / level.u) - weight)).label


_UNDECIDED = 1e-6
