"""Findings: of each watched customer how much they have changed, what, since when, in words of two languages."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from company.taxonomy import INDICATOR_NAMES
from ml.anomaly.detector import Detector, Numbers
from ml.anomaly.injection import RHYTHM, VOLUME
from ml.anomaly.profile import GAP, WINDOWS, Deviations, deviate, learn_profile, measure
from ml.anomaly.series import Series

if TYPE_CHECKING:
    from company.policy.monitoring import Anomaly

SCHEMA = pa.schema(
    [
        *(("as_of", pa.date32()), ("customer_id", pa.string()), ("score", pa.float64()), ("line", pa.float64())),
        *(("is_anomalous", pa.bool_()), ("kind", pa.string()), ("indicator", pa.string()), ("reason", pa.string())),
        *(("since_date", pa.date32()), ("count_seen", pa.float64()), ("count_expected", pa.float64())),
        *(("text_en", pa.string()), ("text_zh", pa.string())),
    ]
)
LATEST = 3  # days back before which no change can be dated
DAYS_SHOWN = 28
SHOWN = WINDOWS.index(DAYS_SHOWN)
PURCHASES = "orders"
_EMPTY = dict.fromkeys(
    ("kind", "indicator", "reason", "since_date", "count_seen", "count_expected", "text_en", "text_zh")
)


def find_anomalies(series: Series, detector: Detector, rules: "Anomaly") -> pa.Table:
    """Return a row per watched customer; see SCHEMA.

    `score` and `line` are 100 times the probability to have changed, if beforehand that is as likely as not. From the
    line on a customer is anomalous: the row then has the kind of change, the indicator that shows it most, since when,
    and what was seen and expected of it in 28 days.
    """
    deviations = measure(series, least_days=rules.least_days)
    watched = series.take(deviations.is_watched)
    if not len(watched.customers):
        return SCHEMA.empty_table()
    odds, lines = (
        each[deviations.is_watched] for each in (detector.score(series, deviations), detector.draw_lines(deviations))
    )
    kinds = detector.score_kinds(series, deviations)[deviations.is_watched]
    anomalous = np.flatnonzero(odds >= lines)
    rows = dict.fromkeys(range(len(odds)), _EMPTY) | _explain_all(watched, deviations, detector, kinds, anomalous)
    return pa.Table.from_pylist(
        [
            {
                "as_of": series.as_of,
                "customer_id": str(watched.customers[row]),
                "score": _as_score(float(odds[row])),
                "line": _as_score(float(lines[row])),
                "is_anomalous": bool(odds[row] >= lines[row]),
                **rest,
            }
            for row, rest in rows.items()
        ],
        schema=SCHEMA,
    )


def _as_score(odds: float) -> float | None:
    return None if np.isinf(odds) else float(100 / (1 + np.exp(-odds)))


def _explain_all(
    watched: Series, deviations: Deviations, detector: Detector, kinds: Numbers, rows: npt.NDArray[np.intp]
) -> dict[int, dict[str, Any]]:
    mine = np.flatnonzero(deviations.is_watched)[rows]
    place = [name.partition("_")[0] for _, name in deviations.names[:: len(watched.indicators)]]
    stacked = deviations.values[mine].reshape(len(rows), len(place), len(watched.indicators))
    found = {}
    for number, row in enumerate(rows):
        kind = detector.kinds[int(kinds[row].argmax())]
        is_rhythm = kind == RHYTHM
        shown = [at for at, name in enumerate(place) if (name == "volume") != is_rhythm]
        indicator = int(stacked[number][shown].max(axis=0).argmax())
        found[int(row)] = _describe(watched.take(rows[number : number + 1]), indicator, kind, deviations, mine[number])
    return found


def _describe(customer: Series, place: int, kind: str, deviations: Deviations, row: np.intp) -> dict[str, Any]:
    seen, expected = (float(each[row, place, SHOWN]) for each in (deviations.seen, deviations.expected))
    kind = VOLUME if kind == RHYTHM and seen < expected / 2 else kind  # who does hardly anything has no rhythm to judge
    if kind == RHYTHM:
        seen = float((customer.counts[0, place, -DAYS_SHOWN:] > 0).sum())
        expected = float(deviations.usual[row, place])
    back, indicator = date_change(customer, place, days_alone=kind == RHYTHM), customer.indicators[place]
    since = customer.as_of - timedelta(days=back)
    english, chinese = write(indicator, kind, seen=seen, expected=expected, since=since, is_older=back == GAP)
    return {
        "kind": kind,
        "indicator": indicator,
        "reason": "inactivity" if indicator == PURCHASES else "engagement",
        "since_date": since,
        "count_seen": seen,
        "count_expected": expected,
        "text_en": english,
        "text_zh": chinese,
    }


def write(indicator: str, kind: str, *, seen: float, expected: float, since: date, is_older: bool) -> tuple[str, str]:
    """Return what changed in English and Chinese; `is_older` where it began before the days that are compared."""
    named = INDICATOR_NAMES.get(indicator, {})
    english, chinese = (named.get(language) or indicator.replace("_", " ") for language in ("en", "zh"))
    begun = f"since {since:%Y-%m-%d} or before" if is_older else f"since about {since:%Y-%m-%d}"
    begun_zh = f"{since:%Y-%m-%d}或更早" if is_older else f"约{since:%Y-%m-%d}"
    if kind == RHYTHM:
        return (
            f"{english} on {_number(seen)} of {DAYS_SHOWN} days where {_number(expected)} are usual, {begun}",
            f"近{DAYS_SHOWN}天有{_number(seen)}天出现{chinese}\uff0c平时{_number(expected)}天\uff08始于{begun_zh}\uff09",
        )
    return (
        f"{english} down to {_number(seen)} in {DAYS_SHOWN} days where {_number(expected)} are usual, {begun}",
        f"近{DAYS_SHOWN}天{chinese}降至{_number(seen)}\uff0c平时{_number(expected)}\uff08始于{begun_zh}\uff09",
    )


def date_change(customer: Series, place: int, *, days_alone: bool) -> int:
    """Return how many days ago one customer's indicator most likely began to fall, by the largest deviance."""
    profile = learn_profile(customer)
    recent = customer.counts[0, place, customer.days - GAP :]
    recent = (recent > 0).astype(np.float32) if days_alone else recent
    level = float((profile.active if days_alone else profile.level)[0, place])
    back = np.arange(LATEST, GAP + 1)
    falls = deviate(np.cumsum(recent[::-1])[back - 1], (level * back).astype(np.float32))
    return int(back[int(falls.argmax())])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"  # noqa: PLR2004 - two digits
