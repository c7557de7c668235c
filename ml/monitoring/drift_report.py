"""Evidently's page on the drift of one month: self-contained, and of distributions only."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml.dataset import Floats
from ml.monitoring.drift import Snapshot

SHOWN = 12  # features, the heaviest first: each costs a third of a second
STEPS = 40  # values of a column on the page: Evidently plots single rows of small tables, and extremes of all
SCORE = "score"
LOADS = "script|link|img|iframe|object|embed|source|audio|video|base"  # tags at which a browser fetches
FOREIGN = re.compile(
    rf"""<(?:{LOADS})\b[^<>]{{0,500}}?\b(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//"""
    r"""|@import\s*(?:url\()?\s*["']?(?:https?:)?//|\burl\(\s*["']?(?:https?:)?//""",
    re.IGNORECASE,
)
PLOTLY = "https://cdn.plot.ly/"  # where plotly would look for maps, which the page has none of


class ReportError(RuntimeError):
    """The page asks something of the network; the message names it."""


def write_drift_report(reference: Snapshot, current: Snapshot, features: Sequence[str], *, limit: float) -> bytes:
    """Return Evidently's data drift page as UTF-8 HTML: PSI and distributions of `features` and of the scores.

    A feature counts as drifted there from a PSI of `limit` on, without regard to seasons: the verdict is that of
    `ml.monitoring.drift`, the page shows what lies behind. Raises a `ReportError` where the page would load anything.
    """
    from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
    from evidently.presets import DataDriftPreset  # type: ignore[import-untyped]

    frames = _blur(_frame(reference, features), _frame(current, features))
    texts = [name for name in frames[0] if not pd.api.types.is_numeric_dtype(frames[0][name])]
    numbers = [name for name in frames[0] if name not in texts]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
    before, after = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    preset = DataDriftPreset(num_method="psi", cat_method="psi", num_threshold=limit, cat_threshold=limit)
    page: str = Report([preset], include_tests=False).run(after, before).get_html_str(as_iframe=False)
    page = page.replace(PLOTLY, "")
    foreign = FOREIGN.search(page)
    if foreign:
        raise ReportError(
            f"Evidently's page would load {page[foreign.start() : foreign.end() + 60]!r}. Do not serve it."
        )
    return page.encode()


def _frame(given: Snapshot, features: Sequence[str]) -> pd.DataFrame:
    frame: pd.DataFrame = given.rows.select(list(features)[:SHOWN]).to_pandas()
    return frame if given.scores is None else frame.assign(**{SCORE: 100 * given.scores})


def _blur(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both frames without a trace of any row.

    Figures are rounded to the middle of the quantile bin that they share with others, and each column is shuffled on
    its own: distributions stay, rows do not. Columns that are never known on a side are left out.
    """
    blurred = pd.DataFrame(index=before.index), pd.DataFrame(index=after.index)
    draw = np.random.default_rng(0)
    for name in before:
        known = [frame[name].dropna() for frame in (before, after)]
        if not all(map(len, known)):
            continue
        is_number = pd.api.types.is_numeric_dtype(before[name])
        middles = _middles(np.concatenate([each.to_numpy(dtype=float) for each in known])) if is_number else None
        for frame, given in zip(blurred, (before, after), strict=True):
            values = given[name].to_numpy() if middles is None else _round(given[name].to_numpy(dtype=float), middles)
            frame[name] = draw.permutation(values)
    return blurred


def _middles(values: Floats) -> Floats:
    """Return what values are rounded to: themselves where there are few, else the middles of their quantile bins."""
    different = np.unique(values)
    if len(different) <= STEPS:
        return different
    edges = np.unique(np.quantile(values, np.linspace(0, 1, STEPS + 1)))
    found: Floats = (edges[1:] + edges[:-1]) / 2
    return found


def _round(values: Floats, middles: Floats) -> Floats:
    """Return for each value the nearest of `middles`; missing stays missing."""
    if len(middles) == 1:
        return np.where(np.isnan(values), np.nan, middles[0])
    nearest = np.searchsorted((middles[1:] + middles[:-1]) / 2, values)
    return np.where(np.isnan(values), np.nan, middles[np.minimum(nearest, len(middles) - 1)])
