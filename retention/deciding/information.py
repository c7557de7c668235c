"""What to test next: the strategy whose unknown effect costs most, as the expected value of knowing it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retention.deciding.allocation import Floats, Limit
from retention.deciding.options import Options

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rank", "strategy_id", "value_of_information", "count_customers", "text_en", "text_zh")
SENTENCES = (
    "Knowing the effect of {name} exactly would bring up to {gain} with the customers of this plan.",
    "如能准确掌握 {name} 的效果，本期客户最多可多带来 {gain}。",  # noqa: RUF001
)
LEAST = 1e-12


def price_information(options: Options, limits: Sequence[Limit], prices: Floats) -> "pd.DataFrame":
    """Return `COLUMNS`, one row per strategy, the one whose effect is best known last.

    Args:
        options: of the customers of a plan.
        limits: the plan's.
        prices: what one more unit of each limit brings; a use of the limit costs so much.

    A strategy's effect is normal with the standard deviation of its interval. Of each customer the expected value of
    perfect information is s x L(|d| / s): d is how far the option's value lies above the best other option or nothing,
    s its standard deviation, L(z) = phi(z) - z (1 - Phi(z)) the unit normal loss. Sums over customers are exact while
    prices hold, since all of them wait for one answer. Source: H. Raiffa and R. Schlaifer, Applied Statistical Decision
    Theory, Harvard 1961, chapter 5.
    """
    import pandas as pd

    value = np.where(options.is_open, options.expected, -np.inf)
    for limit, price in zip(limits, prices, strict=True):
        value = value - price * limit.uses
    names = options.words("strategy")[:-1]
    rows = []
    for name in sorted(set(names)):
        own = names == name
        gained = _gained(value, options.deviations, own)
        rows.append((str(name), float(gained.sum()), int(options.is_open[:, own].any(axis=1).sum())))
    table = pd.DataFrame(rows, columns=["strategy_id", "value_of_information", "count_customers"])
    table = table.sort_values(["value_of_information", "strategy_id"], ascending=[False, True], ignore_index=True)
    for place, language in enumerate(("text_en", "text_zh")):
        pairs = zip(table["strategy_id"], table["value_of_information"], strict=True)
        table[language] = [SENTENCES[place].format(name=name, gain=f"{gain:,.2f}") for name, gain in pairs]
    return table.assign(rank=np.arange(1, len(table) + 1))[list(COLUMNS)]


def _gained(value: Floats, deviations: Floats, own: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Floats:
    """Return the expected value of perfect information of each row about its best option among the columns `own`."""
    from scipy.special import ndtr

    best = value[:, own].argmax(axis=1)
    rows = np.flatnonzero(np.isfinite(value[:, own].max(axis=1)))
    spread = np.maximum(deviations[:, own][rows, best[rows]], LEAST)
    other = np.maximum(value[rows][:, ~own].max(axis=1, initial=-np.inf), 0.0)
    apart = np.abs(value[:, own][rows, best[rows]] - other) / spread
    density = np.exp(-(apart**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(spread * (density - apart * ndtr(-apart)))
