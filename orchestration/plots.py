"""Small plots for the assets' pages: images inside Markdown."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from ml.evaluate import Bin
from ml.monitoring.drift import FeatureDrift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL, BASELINE, LIMIT = "#0b6bcb", "#8a8f98", "#c4320a"
SIZE, DOTS_PER_INCH = (5.6, 3.0), 90  # inches
FEATURES = 10  # bars


def plot_calibration(bins: Sequence[Bin]) -> dg.MarkdownMetadataValue:
    """Plot the observed over the predicted churn rate by tenths of the customers, with 95 % intervals."""
    figure, axes = _start("predicted churn rate", "observed churn rate")
    predicted, observed = [each.predicted for each in bins], [each.observed for each in bins]
    reach = [[each.observed - each.low for each in bins], [each.high - each.observed for each in bins]]
    top = max(max(each.high, each.predicted) for each in bins)
    axes.plot([0, top], [0, top], color=BASELINE, linestyle="--", label="perfectly calibrated")
    axes.errorbar(predicted, observed, yerr=reach, color=MODEL, marker="o", capsize=2, label="later data")
    _show_shares(axes, x=True, y=True)
    axes.legend(frameon=False)
    return _embed(figure, "Calibration")


def plot_drift(features: Sequence[FeatureDrift], *, limit: float) -> dg.MarkdownMetadataValue:
    """Plot the PSI of the features that moved most, those that count for the verdict in the model's colour."""
    figure, axes = _start("PSI, corrected for chance; grey: of little importance", "")
    moved = sorted(features, key=lambda each: each.psi)[-FEATURES:]
    colours = [MODEL if each.counts else BASELINE for each in moved]
    axes.barh([each.feature for each in moved], [each.psi for each in moved], color=colours)
    axes.axvline(limit, color=LIMIT, linestyle="--", label=f"limit {limit:g}")
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return _embed(figure, "Drift by feature")


def plot_forecast(months: pa.Table) -> dg.MarkdownMetadataValue:
    """Plot one group's churn rate by month with its interval and forecast, next to the industry's usual rate.

    `months` has the columns month, rate, low, high, industry_line (empty without one) and is_forecast; a rate may be
    unknown.
    """
    figure, axes = _start("", "churn rate")
    rows = sorted((row for row in months.to_pylist() if row["rate"] is not None), key=lambda row: row["month"])
    days = [row["month"] for row in rows]
    past = [row for row in rows if not row["is_forecast"]]
    ahead = [*past[-1:], *(row for row in rows if row["is_forecast"])]
    low, high = ([row[end] for row in rows] for end in ("low", "high"))
    axes.fill_between(days, low, high, color=MODEL, alpha=0.15)
    for part, style, label in ((past, "-", "measured"), (ahead, ":", "forecast")):
        axes.plot(
            [row["month"] for row in part], [row["rate"] for row in part],
            color=MODEL, linestyle=style, marker="o", markersize=3, label=label,
        )  # fmt: skip
    if not months.column("industry_line").null_count:
        axes.plot(days, [row["industry_line"] for row in rows], color=BASELINE, linestyle="--", label="industry")
    _show_shares(axes, y=True)
    axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    axes.legend(frameon=False, fontsize=8)
    return _embed(figure, "Churn rate by month")


def _start(across: str, up: str) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _show_shares(axes: "Axes", *, x: bool = False, y: bool = False) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (*([axes.xaxis] if x else []), *([axes.yaxis] if y else [])):
        axis.set_major_formatter(PercentFormatter(1))


def _embed(figure: "Figure", title: str) -> dg.MarkdownMetadataValue:
    image = BytesIO()
    figure.savefig(image, format="png", dpi=DOTS_PER_INCH)
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})")
