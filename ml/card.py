"""The model card: one page, without any outside resource and without any row of data."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ml.dataset import Floats
from ml.drift import FeatureReference
from ml.evaluate import Evaluation
from ml.fairness import GroupFigures
from ml.train import Fitted

SIDE, MARGIN = 260, 34
POINTS = 60  # of a curve: enough to see, too few to tell a customer by
CAUTION = "Accuracy means little where one outcome is rare: read it beside the majority baseline."
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


def write_card(
    fitted: Fitted,
    *,
    facts: Mapping[str, str],
    importance: Mapping[str, float],
    groups: Sequence[GroupFigures] = (),
    protected: Sequence[str] = (),
    reference: Sequence[FeatureReference] = (),
) -> bytes:
    """Return the page as UTF-8 HTML.

    `facts` are shown first, in order: data fingerprint, snapshots, trigger, decision. Figures and curves come from the
    validation rows, which the models behind them had not learned from. `groups` are shown as segments, those of the
    `protected` columns as fairness; `reference` is what later drift is measured against.
    """
    label = fitted.validation.column("label").to_numpy()
    probability = fitted.validation.column("probability").to_numpy()
    figures = (
        _plot("ROC", _roc(label, probability), "false alarms", "churners found", diagonal=True),
        _plot("Precision and recall", _precision_recall(label, probability), "churners found", "precision"),
        _plot("Reliability", _reliability(label, probability), "predicted", "observed", diagonal=True, dots=True),
        _plot("Gain", _gain(label, probability), "customers contacted", "churners found", diagonal=True),
        _plot_lift(_gain(label, probability)),
    )
    parts = (
        f"<h1>Churn model: {escape(fitted.chosen)}</h1>",
        _table(("", ""), [(name, value) for name, value in facts.items()]),
        f"<h2>Validation</h2><p>{fitted.validation.num_rows} rows later than those learned from. {CAUTION}</p>",
        _evaluations(fitted.evaluations),
        *figures,
        f"<h2>What it looks at</h2>{_importance(importance)}",
        f"<h2>Segments</h2>{_groups([each for each in groups if each.column not in protected])}",
        f"<h2>Fairness</h2><p>{FAIRNESS}</p>{_groups([each for each in groups if each.column in protected])}",
        f"<h2>Drift reference</h2><p>{REFERENCE}</p>{_reference(reference)}",
    )
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Churn model</title><style>{STYLE}</style>'
    return f"{page}<body>{''.join(parts)}</body></html>".encode()


def _evaluations(evaluations: Mapping[str, Evaluation]) -> str:
    names = ("auc", "pr_auc", "brier_skill", "ece", "accuracy", "majority_accuracy", "lift_at_capacity")
    heads = ("candidate", *(name.replace("_", " ") for name in names))
    rows = [(each, *(f"{found.as_dict()[name]:.4f}" for name in names)) for each, found in evaluations.items()]
    return _table(heads, rows)


def _importance(importance: Mapping[str, float]) -> str:
    heaviest = sorted(importance.items(), key=lambda each: (-each[1], each[0]))[:SHOWN]
    bars = [
        (name, f"{share:.1%}", f'<svg width="{400 * share:.0f}" height="10"><rect width="100%" height="10"/></svg>')
        for name, share in heaviest
    ]
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{share}</td><td>{bar}</td></tr>" for name, share, bar in bars)
    return f"<table>{cells}</table>"


def _groups(groups: Sequence[GroupFigures]) -> str:
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
    return _table(heads, rows) if rows else "<p>No group is large enough to be judged.</p>"


def _reference(reference: Sequence[FeatureReference]) -> str:
    heads = ("feature", "missing", *(f"{10 * step} %" for step in range(1, 10)))
    rows = [
        (each.feature, f"{each.missing:.1%}", *(f"{value:.4g}" for value in each.deciles))
        for each in reference
        if each.deciles
    ]
    return _table(heads, rows)


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
) -> str:
    points = [(MARGIN + SIDE * x, 10 + SIDE * (1 - y)) for x, y in zip(*curve, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = f'<polyline points="{line}" fill="none" stroke="#0b6bcb" stroke-width="2"/>'
    if dots:
        drawn += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#0b6bcb"/>' for x, y in points)
    ends = (10 + SIDE, 10) if diagonal else None if level is None else (10 + SIDE * (1 - level),) * 2
    even = (
        f'<line x1="{MARGIN}" y1="{ends[0]:.1f}" x2="{MARGIN + SIDE}" y2="{ends[1]:.1f}" stroke="#b9c2cc"/>'
        if ends
        else ""
    )
    frame = f'<rect x="{MARGIN}" y="10" width="{SIDE}" height="{SIDE}" fill="none" stroke="#8b97a5"/>'
    words = (
        f'<text x="{MARGIN + SIDE / 2}" y="{SIDE + 30}" text-anchor="middle" font-size="12">{across} (0 to 1)</text>'
        f'<text transform="translate(14 {10 + SIDE / 2}) rotate(-90)" text-anchor="middle" font-size="12">{up}</text>'
    )
    size = f'width="{SIDE + MARGIN + 10}" height="{SIDE + 40}"'
    return f"<figure><figcaption>{title}</figcaption><svg {size}>{frame}{even}{drawn}{words}</svg></figure>"


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


def _reliability(label: Floats, probability: Floats) -> Curve:
    parts = np.array_split(np.argsort(probability, kind="stable"), 10)
    return np.array([probability[part].mean() for part in parts]), np.array([label[part].mean() for part in parts])


def _thin(across: Floats, up: Floats) -> Curve:
    grid = np.linspace(0, 1, POINTS)
    return grid, np.interp(grid, across, up)
