"""What users think of alerts, and what follows: where too many were wrong, the next ones need more confirmation."""

from datetime import date, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from company.policy.units import LEVELS
from retention.measuring.periods import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from company.policy import Policy
    from company.policy.units import Level

ANY_REASON = "all"
NOTHING, HIGHER_LINE, SECOND_REASON = "nothing", "higher_line", "second_reason"
COLUMNS = (
    "level", "main_reason", "count_answers", "count_wrong", "share_wrong", "share_low", "demand", "points", "why_en",
    "why_zh",
)  # fmt: skip
WRONG = "wrong"
_CONFIDENCE = 0.95
_WORDS = {
    "en": {
        HIGHER_LINE: "{wrong} of {count} answers called {level} alerts wrong, at least {low:.0%} beyond chance where "
        "{tolerated:.0%} are tolerated: their line is {points} points higher.",
        SECOND_REASON: "{wrong} of {count} answers called {level} alerts because of {reason} wrong, at least {low:.0%} "
        "beyond chance where {tolerated:.0%} are tolerated: they need a second reason.",
    },
    "zh": {
        HIGHER_LINE: "{count} 条{level}级预警反馈中有 {wrong} 条误报 (下限 {low:.0%}, 容许 {tolerated:.0%}), "
        "该级分数线上调 {points} 分。",
        SECOND_REASON: "{count} 条因 {reason} 触发的{level}级预警反馈中有 {wrong} 条误报 "
        "(下限 {low:.0%}, 容许 {tolerated:.0%}), 须另有一项原因才触发。",
    },
}
_LEVELS_ZH: "dict[Level, str]" = {"high": "高", "medium": "中", "low": "低"}


def weigh_feedback(feedback: "pd.DataFrame", policy: "Policy", *, as_of: date) -> "pd.DataFrame":
    """Return `COLUMNS`, one row per level with answers, for all reasons together and for each one.

    More is demanded only where `cutoffs.feedback.minimum_answers` are in and the lower end of Wilson's interval of the
    share of wrong ones lies above `tolerated_wrong`: of a level a line that is up to `most_points` higher, of a reason
    within a level a second reason. What is demanded ends when the answers are older than `days`.

    Args:
        feedback: level, main_reason, feedback and closed_on, the company's day on which it was given.
        policy: gives the bounds.
        as_of: answers of earlier days count.
    """
    import pandas as pd

    rules = policy.cutoffs.feedback
    days = pd.to_datetime(feedback["closed_on"]).dt.date
    recent = feedback.loc[(days < as_of) & (days >= as_of - timedelta(days=rules.days))]
    rows = [
        _weigh(answers, policy, level=level, reason=reason)
        for level in LEVELS
        for reason, answers in _group(recent.loc[recent["level"] == level])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_points(rules: "pd.DataFrame") -> "dict[Level, int]":
    """Return by how many points the line of each level is raised, from the table of `weigh_feedback`."""
    raised = rules.loc[rules["demand"] == HIGHER_LINE]
    return dict(zip(raised["level"], raised["points"].astype(int), strict=True))


def read_second_reasons(rules: "pd.DataFrame") -> set[tuple[str, str]]:
    """Return the levels and main reasons whose alerts need a second reason."""
    demanding = rules.loc[rules["demand"] == SECOND_REASON]
    return set(zip(demanding["level"], demanding["main_reason"], strict=True))


def _group(answers: "pd.DataFrame") -> "Iterator[tuple[str, pd.Series[Any]]]":
    if len(answers):
        yield ANY_REASON, answers["feedback"]
    yield from ((str(reason), its["feedback"]) for reason, its in answers.groupby("main_reason"))


def _weigh(answers: "pd.Series[Any]", policy: "Policy", *, level: "Level", reason: str) -> dict[str, object]:
    rules, count, wrong = policy.cutoffs.feedback, len(answers), int(answers.eq(WRONG).sum())
    low = wilson(wrong, count, confidence=_CONFIDENCE)[0]
    row: dict[str, object] = {
        "level": level, "main_reason": reason, "count_answers": count, "count_wrong": wrong,
        "share_wrong": wrong / count, "share_low": low, "demand": NOTHING, "points": 0, "why_en": "", "why_zh": "",
    }  # fmt: skip
    if count < rules.minimum_answers or low <= rules.tolerated_wrong:
        return row
    demand = HIGHER_LINE if reason == ANY_REASON else SECOND_REASON
    excess = (low - rules.tolerated_wrong) / (1 - rules.tolerated_wrong)
    points = ceil(rules.most_points * excess) if demand == HIGHER_LINE else 0
    about = {"wrong": wrong, "count": count, "reason": reason.replace("_", " "), "low": low, "points": points}
    why = {
        f"why_{language}": _WORDS[language][demand].format(level=name, tolerated=rules.tolerated_wrong, **about)
        for language, name in (("en", level), ("zh", _LEVELS_ZH[level]))
    }
    return row | why | {"demand": demand, "points": points}
