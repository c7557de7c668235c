"""Versions of strategies against each other and against their own untreated."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from retention.deciding.plan import HOLDOUT, TREATED
from retention.measuring.outcomes import ALL, read_effects
from retention.measuring.outcomes import COLUMNS as EFFECT_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from company.policy import Policy
    from retention.deciding.strategies import Strategy

COLUMNS = ("version", "against", *EFFECT_COLUMNS)


def read_versions(
    outcomes: "pd.DataFrame", strategies: Sequence["Strategy"], policy: "Policy", *, today: date
) -> "pd.DataFrame":
    """Return the looks at every version, as `read_effects` does at strategies, in `COLUMNS`.

    Args:
        outcomes: as of `read_effects`, with the version of each decision; who is held out has the version that a hash
            drew for them too.
        strategies: the library; versions that it does not have any more are left out.
        policy: `outcomes` and `holdout`.
        today: the day of the last row.

    `against` is the holdout, or the version that the strategy names first: then n_holdout, retention_holdout and
    needed_holdout are those of that version. Two versions are compared with each other only where they differ in
    nothing that the plan decides by, channel, offer and frequency, since else it chooses other customers for them.
    """
    import pandas as pd

    frames = [
        read_effects(rows.assign(strategy_id=strategy.id), policy, today=today).assign(version=version, against=against)
        for strategy in strategies
        for version, against, rows in _pair(outcomes, strategy)
    ]
    found = [frame.loc[frame["strategy_id"] != ALL, list(COLUMNS)] for frame in frames]
    empty = read_effects(outcomes.iloc[:0], policy, today=today).iloc[:0].assign(version="", against="")
    return pd.concat(found, ignore_index=True) if found else empty[list(COLUMNS)]


def _pair(outcomes: "pd.DataFrame", strategy: "Strategy") -> "Iterator[tuple[str, str, pd.DataFrame]]":
    """Yield each version, what it is compared with, and the decisions of both, the second as if they were held out."""
    own = outcomes.loc[outcomes["strategy_id"].eq(strategy.id)]
    for version in strategy.versions:
        yield version.id, HOLDOUT, own.loc[own["version"].eq(version.id)]
    for version in strategy.versions[1:]:
        if not {"channel", "modules", "every_days"} & (
            version.changes().keys() | strategy.versions[0].changes().keys()
        ):
            first = strategy.versions[0].id
            treated = own.loc[own["arm"].eq(TREATED) & own["version"].isin([first, version.id])]
            is_other = treated["version"].eq(version.id)
            yield version.id, first, treated.assign(arm=is_other.map({True: TREATED, False: HOLDOUT}))
