"""The model card: one page, without any outside resource and without any row of data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ml.dataset import Floats
from ml.evaluate import Bin, Evaluation, Interval, Profit, ProfitTerms, reliability
from ml.explaining.importance import Importance
from ml.learners import load_algorithms
from ml.monitoring.drift import FeatureReference
from ml.training.fairness import GroupFigures
from ml.training.monthly import Training
from ml.training.train import Fitted

SIDE, MARGIN, BAR = 260, 34, 220
TINY = 1e-9
POINTS = 60  # of a curve: enough to see, too few to recognise a customer by
CAUTION = "Accuracy means little where one outcome is rare: read it next to the majority baseline."
SHOWN = 20  # features named by importance
FAIRNESS = (
    "Protected groups are no features. The model is refused where it misstates a group's churn by more than the policy "
    "allows and chance explains."
)
REFERENCE = "Deciles of the last snapshot it learned from, for the features that carry its importance."
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #dde3ea }
figure { display: inline-block; margin: 0 1rem 1rem 0 } figcaption { font-weight: 600 }
"""
Curve = tuple[Floats, Floats]


@dataclass(frozen=True)
class Insight:
    """How sure the chosen candidate's figures are, the expected profit of acting on its score, and what it looks at.

    `held` has the 95 % bootstrap intervals by figure; without a known customer value there are no `terms` and no
    `profit`.
    """

    held: Mapping[str, Interval]
    importance: Importance
    terms: ProfitTerms | None = None
    profit: Profit | None = None


def write_card(
    found: Training,
    insight: Insight,
    *,
    facts: Mapping[str, str],
    groups: Sequence[GroupFigures] = (),
    protected: Sequence[str] = (),
    reference: Sequence[FeatureReference] = (),
) -> bytes:
    """Return the page as UTF-8 HTML.

    `facts` are shown first, in order: data fingerprint, snapshots, trigger, decision. Figures and curves come from the
    validation rows, which the models behind them had not learned from. `groups` are shown as segments, those of the
    `protected` columns as fairness; `reference` is what later drift is measured against.
    """
    fitted = found.fitted
    label = fitted.validation.column("label").to_numpy()
    probability = fitted.validation.column("probability").to_numpy()
    figures = (
        _plot("ROC", _roc(label, probability), "false alarms", "churners found", diagonal=True),
        _plot("Precision and recall", _precision_recall(label, probability), "churners found", "precision"),
        _plot_reliability(reliability(label, probability)),
        _plot("Gain", _gain(label, probability), "customers contacted", "churners found", diagonal=True),
        _plot_lift(_gain(label, probability)),
    )
    shown = [each for each in groups if each.column not in protected]
    guarded = [each for each in groups if each.column in protected]
    parts = (
        f"<h1>Churn model: {escape(fitted.chosen)}</h1>",
        _table(("", ""), [(name, value) for name, value in facts.items()]),
        f"<h2>Validation</h2><p>{_describe_validation(fitted)} {CAUTION}</p>",
        _evaluations(fitted.evaluations),
        f"<p>{_describe_untried(fitted)}</p>",
        f"<p>The chosen one, with the interval that holds each figure in 95 of 100 samples:</p>{_held(insight.held)}",
        *figures,
        f"<h2>Expected profit</h2><p>{_describe_profit(insight)}</p>",
        f"<h2>What it looks at</h2>{_importance(insight.importance)}",
        f"<h2>Warnings further ahead</h2>{_list(found.describe_lead_times(), 'The policy asks for none.')}",
        f"<h2>Groups with a model of their own</h2>{_list(found.describe_groups(), 'No group has customers.')}",
        f"<h2>Segments</h2>{_groups(shown, 'Segments')}",
        f"<h2>Fairness</h2><p>{FAIRNESS}</p>{_groups(guarded, 'Protected groups')}",
        f"<h2>Drift reference</h2><p>{REFERENCE}</p>{_reference(reference)}",
    )
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Churn model</title><style>{STYLE}</style>'
    return f"{page}<body>{''.join(parts)}</body></html>".encode()


def _describe_validation(fitted: Fitted) -> str:
    """Return where the figures come from: later snapshots, or folds drawn by chance where there is no time."""
    rows = f"{fitted.validation.num_rows:,} rows"
    if fitted.model.trained_until is None:
        return f"{rows}, each predicted by a model of other rows."
    return f"{rows} later than those learned from."


def _held(held: Mapping[str, Interval]) -> str:
    rows = [
        (name.replace("_", " "), *(f"{value:.4f}" for value in (each.value, each.low, each.high)))
        for name, each in held.items()
    ]
    return _table(("figure", "value", "from", "to"), rows)


def _describe_profit(insight: Insight) -> str:
    """Return the profit in words, next to acting on everybody and to what the probabilities promised."""
    terms, profit = insight.terms, insight.profit
    if terms is None or profit is None:
        return "Not known: no customer has a value yet."
    return (
        f"Contacting {profit.contacted:.1%} of the customers would have earned {profit.per_thousand:,.2f} per 1,000 "
        f"customers, in the company's currency; the probabilities promised {profit.expected_per_thousand:,.2f}, and "
        f"contacting everybody would have earned {profit.per_thousand_all:,.2f}. Assumed: a contact costs "
        f"{terms.contact_cost:,.2f} and keeps {terms.effect:.0%} of those who would leave, each at the customer's own "
        f"value from then on, {profit.mean_value:,.2f} on average of the contacted."
    )


def _list(clauses: Sequence[str], otherwise: str) -> str:
    if not clauses:
        return f"<p>{otherwise}</p>"
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in clauses) + "</ul>"


def _describe_untried(fitted: Fitted) -> str:
    """Return which learners took no part, and where that is decided."""
    untried = sorted(set(load_algorithms()) - set(fitted.candidates))
    if not untried:
        return "Every learner there is was tried."
    return f"Off, and not tried: {escape(', '.join(untried))}. The policy's `training.candidates` turns them on."


def _evaluations(evaluations: Mapping[str, Evaluation]) -> str:
    names = ("auc", "pr_auc", "brier_skill", "ece", "accuracy", "majority_accuracy", "lift_at_capacity")
    heads = ("candidate", *(name.replace("_", " ") for name in names))
    rows = [(each, *(f"{found.as_dict()[name]:.4f}" for name in names)) for each, found in evaluations.items()]
    return _table(heads, rows)


def _importance(importance: Importance) -> str:
    """Return the heaviest features with their shares by month, and how alike the months are."""
    heaviest = sorted(importance.shares.items(), key=lambda each: (-each[1], each[0]))[:SHOWN]
    months = list(importance.by_month)
    rows = [
        (name, f"{share:.1%}", *(f"{importance.by_month[month][name]:.1%}" for month in months))
        for name, share in heaviest
    ]
    bars = [(name, share / max(heaviest[0][1], TINY)) for name, share in heaviest]
    stable = importance.stability
    stability = "" if stable is None else f"<p>Lowest rank correlation between two of the months: {stable:.2f}.</p>"
    return _bars("Importance", bars) + _table(("feature", "share", *months), rows) + stability


def _bars(title: str, bars: Sequence[tuple[str, float]]) -> str:
    """Plot lengths in [0, 1], one line each."""
    drawn = "".join(
        f'<text x="{BAR - 6}" y="{18 * place + 13}" text-anchor="end" font-size="12">{escape(name)}</text>'
        f'<rect x="{BAR}" y="{18 * place + 3}" width="{SIDE * length:.1f}" height="12" fill="#0b6bcb"/>'
        for place, (name, length) in enumerate(bars)
    )
    size = f'width="{BAR + SIDE + 10}" height="{18 * len(bars) + 6}"'
    return f"<figure><figcaption>{title}</figcaption><svg {size}>{drawn}</svg></figure>"


def _groups(groups: Sequence[GroupFigures], title: str) -> str:
    heads = ("group", "rows", "churned", "predicted", "gap", "AUC", "contacted", "churners found")
    rows = [
        (
            f"{each.column}: {each.group}",
            str(each.rows),
            *(f"{share:.1%}" for share in (each.base_rate, each.mean_probability)),
            f"{each.gap:+.1%}",
            "" if each.auc is None else f"{each.auc:.3f}",
            f"{each.contacted:.1%}",
            "" if each.found is None else f"{each.found:.1%}",
        )
        for each in groups
    ]
    if not rows:
        return "<p>No group is large enough to be compared.</p>"
    rates = [(each.mean_probability, each.base_rate) for each in groups]
    top = min(1.0, 1.2 * max(max(pair) for pair in rates))
    scaled = np.array(rates).T / max(top, TINY)
    of = f"(of {top:.0%})"
    return _plot(title, (scaled[0], scaled[1]), f"predicted {of}", f"observed {of}", diagonal=True, dots=True) + _table(
        heads, rows
    )


def _reference(reference: Sequence[FeatureReference]) -> str:
    heads = ("feature", "missing", *(f"{10 * step} %" for step in range(1, 10)))
    numbers = [each for each in reference if each.deciles]
    rows = [(each.feature, f"{each.missing:.1%}", *(f"{value:.4g}" for value in each.deciles)) for each in numbers]
    return _plot_deciles(numbers) + _table(heads, rows)


def _plot_deciles(reference: Sequence[FeatureReference]) -> str:
    """Plot where each feature's deciles lie between the first and the ninth."""
    drawn = []
    for place, each in enumerate(reference):
        low, high = each.deciles[0], each.deciles[-1]
        at = [BAR + SIDE * (value - low) / max(high - low, TINY) for value in each.deciles]
        ticks = "".join(f'<rect x="{x:.1f}" y="{18 * place + 3}" width="2" height="12" fill="#0b6bcb"/>' for x in at)
        words = f'<text x="{BAR - 6}" y="{18 * place + 13}" text-anchor="end" font-size="12">{escape(each.feature)}'
        drawn.append(f"{words}</text>{ticks}")
    size = f'width="{BAR + SIDE + 10}" height="{18 * len(reference) + 6}"'
    return f"<figure><figcaption>Deciles</figcaption><svg {size}>{''.join(drawn)}</svg></figure>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _plot(
    title: str,
    curve: Curve,
    across: str,
    up: str,
    *,
    diagonal: bool = False,
    dots: bool = False,
    level: float | None = None,
    whiskers: str = "",
) -> str:
    points = [(MARGIN + SIDE * x, 10 + SIDE * (1 - y)) for x, y in zip(*curve, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = whiskers + (
        "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#0b6bcb"/>' for x, y in points)
        if dots
        else f'<polyline points="{line}" fill="none" stroke="#0b6bcb" stroke-width="2"/>'
    )
    ends = (10 + SIDE, 10) if diagonal else None if level is None else (10 + SIDE * (1 - level),) * 2
    even = (
        f'<line x1="{MARGIN}" y1="{ends[0]:.1f}" x2="{MARGIN + SIDE}" y2="{ends[1]:.1f}" stroke="#b9c2cc"/>'
        if ends
        else ""
    )
    frame = f'<rect x="{MARGIN}" y="10" width="{SIDE}" height="{SIDE}" fill="none" stroke="#8b97a5"/>'
    words = (
        f'<text x="{MARGIN + SIDE / 2}" y="{SIDE + 30}" text-anchor="middle" font-size="12">{across}</text>'
        f'<text transform="translate(14 {10 + SIDE / 2}) rotate(-90)" text-anchor="middle" font-size="12">{up}</text>'
    )
    size = f'width="{SIDE + MARGIN + 10}" height="{SIDE + 40}"'
    return f"<figure><figcaption>{title}</figcaption><svg {size}>{frame}{even}{drawn}{words}</svg></figure>"


def _plot_reliability(bins: Sequence[Bin]) -> str:
    """Plot observed over predicted churn by tenths of the customers, with 95 % intervals, up to the highest of them."""
    top = max(max(each.high, each.predicted) for each in bins)
    across, up = (np.array([getattr(each, name) / top for each in bins]) for name in ("predicted", "observed"))
    whiskers = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{10 + SIDE * (1 - each.low / top):.1f}" '
        f'y2="{10 + SIDE * (1 - each.high / top):.1f}" stroke="#0b6bcb"/>'
        for x, each in zip(MARGIN + SIDE * across, bins, strict=True)
    )
    words = (f"predicted (of {top:.0%})", f"observed (of {top:.0%})")
    return _plot("Reliability", (across, up), *words, diagonal=True, dots=True, whiskers=whiskers)


def _plot_lift(gain: Curve) -> str:
    """Plot how many times more often the contacted churn than all, over the share contacted; 1 is the dotted line."""
    across, found = gain
    lift = np.divide(found[1:], across[1:])
    top = float(np.ceil(lift.max()))
    return _plot("Lift", (across[1:], lift / top), "customers contacted", f"lift, of {top:.0f}", level=1 / top)


def _roc(label: Floats, probability: Floats) -> Curve:
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(label, probability)
    return _thin(false, true)


def _precision_recall(label: Floats, probability: Floats) -> Curve:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(label, probability)
    return _thin(recall[::-1], precision[::-1])


def _gain(label: Floats, probability: Floats) -> Curve:
    found = np.cumsum(label[np.argsort(-probability, kind="stable")]) / label.sum()
    return _thin(np.linspace(0, 1, len(label) + 1), np.concatenate([[0.0], found]))


def _thin(across: Floats, up: Floats) -> Curve:
    grid = np.linspace(0, 1, POINTS)
    return grid, np.interp(grid, across, up)
