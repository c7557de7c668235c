"""Measured effects over declared ones, and who is better left alone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy

DECLARED, MEASURED, ALL = "declared", "measured", "all"
COLUMNS = (
    "strategy_id", "effect_group", "effect", "low", "high", "harm", "basis", "is_used", "group_harm", "level",
    "level_harm",
)  # fmt: skip
UNKNOWN = "unknown"


def name_groups(people: "pd.DataFrame", policy: "Policy") -> "pd.Series[str]":
    """Return the group whose effects hold for each customer: the policy's columns, joined by commas."""
    groups = people["customer_id"].map(lambda _: ALL).astype(object)
    for place, column in enumerate(policy.effects.group_by):
        words = people[column].fillna(UNKNOWN).astype(str)
        groups = groups + ", " + words if place else words
    return groups.astype(object)


def apply_effects(
    options: "pd.DataFrame", effects: "pd.DataFrame | None", *, harm_probability: float
) -> "pd.DataFrame":
    """Return `options` with effects and intervals of their group, and `would_hurt` where contact is known to do harm.

    `lift` is by how much an effect counts as more than is believed, so that a customer who is a probe may be chosen.

    Args:
        options: columns strategy_id, effect_group, the declared effect with effect_low and effect_high; may have
            is_probe: for these customers a declared effect counts in full, however low the level is, unless all
            strategies together are known to do harm.
        effects: `COLUMNS`, one row per strategy and group; None where nothing was measured yet. What is not `is_used`
            was not proven better than the declared effect and replaces nothing: then the declared effect counts times
            `level`, the factor by which all of them are off together. Harm is acted on all the same.
        harm_probability: a strategy that does harm to a group with so much probability is no option there; a group to
            which the strategies together do is left alone.
    """
    if effects is None or effects.empty or options.empty:
        return options.assign(would_hurt=False, lift=0.0)
    effects = effects.reindex(columns=list(COLUMNS))
    by_option = effects.loc[effects["basis"] == MEASURED].set_index(["strategy_id", "effect_group"])
    keys = list(zip(options["strategy_id"], options["effect_group"], strict=True))
    own = (
        by_option[["effect", "low", "high", "harm", "is_used"]]
        .reindex(keys)
        .reset_index(drop=True)
        .set_index(options.index)
    )
    is_used = own["is_used"].eq(other=True) & own["effect"].notna()
    driven_away = effects.loc[effects["group_harm"].astype(float) >= harm_probability, "effect_group"]
    level, level_harm = _read_once(effects, "level", missing=1.0), _read_once(effects, "level_harm", missing=0.0)
    is_lifted = ~is_used & options.get("is_probe", False) & (level_harm < harm_probability)
    lift = (max(1 - level, 0.0) * options["effect"]).where(is_lifted, 0.0)
    moved = (level - 1) * options["effect"] + lift
    measured = {"effect": "effect", "effect_low": "low", "effect_high": "high"}
    return options.assign(
        **{name: own[column].where(is_used, options[name] + moved).astype(float) for name, column in measured.items()},
        lift=lift,
        would_hurt=own["harm"].astype(float).ge(harm_probability) | options["effect_group"].isin(set(driven_away)),
    )


def _read_once(effects: "pd.DataFrame", column: str, *, missing: float) -> float:
    """Return what is the same in all rows; `missing` where it was never measured."""
    values = effects[column].dropna()
    return float(values.iloc[0]) if len(values) else missing
