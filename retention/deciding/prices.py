"""What one more of everything scarce would bring, in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from company.taxonomy import CHANNEL_NAMES
from retention.deciding.allocation import Floats, Limit
from retention.deciding.limits import BUDGET, CHANNEL, SEPARATOR, STRATEGY, TEAM

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("resource", "amount", "used", "price", "text_en", "text_zh")
STEP = {BUDGET: 1000, STRATEGY: 1000, CHANNEL: 1, TEAM: 1}  # how much more the sentence speaks of
SENTENCES = {
    BUDGET: (
        "Another {step:,} of budget would bring {gain} beyond its cost.",
        "预算每增加 {step:,}，可多带来 {gain} 的净收益。",  # noqa: RUF001
    ),
    STRATEGY: (
        "Another {step:,} of budget for {name} would bring {gain} beyond its cost.",
        "方案 {name} 的预算每增加 {step:,}，可多带来 {gain} 的净收益。",  # noqa: RUF001
    ),
    CHANNEL: (
        "One more place in the channel {name} would bring {gain}.",
        "{name}渠道每增加一个名额，可多带来 {gain}。",  # noqa: RUF001
    ),
    TEAM: ("One more hour of {name} would bring {gain}.", "{name} 每增加一小时，可多带来 {gain}。"),  # noqa: RUF001
}
ENOUGH = {
    BUDGET: ("The budget suffices: more of it would bring nothing.", "预算充足，增加预算不会带来更多收益。"),  # noqa: RUF001
    STRATEGY: ("The budget for {name} suffices.", "方案 {name} 的预算充足。"),
    CHANNEL: ("The channel {name} has places left.", "{name}渠道仍有名额。"),
    TEAM: ("{name} has hours left.", "{name} 仍有工时。"),
}
SMALLEST = 0.005  # what rounds to 0.00 is told as nothing


def price_table(limits: Sequence[Limit], prices: Floats, used: Floats) -> "pd.DataFrame":
    """Return `COLUMNS`, one row per limit: how much there was, how much is used, and what one more unit would bring."""
    import pandas as pd

    rows = [
        (limit.name, limit.amount, float(use), float(price), *sentences(limit.name, float(price)))
        for limit, price, use in zip(limits, prices, used, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sentences(resource: str, price: float) -> tuple[str, str]:
    """Return what the price of a limit means, in English and in Chinese."""
    kind, _, name = resource.partition(SEPARATOR)
    gain = price * STEP[kind]
    english, chinese = (SENTENCES if gain >= SMALLEST else ENOUGH)[kind]
    names = CHANNEL_NAMES.get(name, {}) if kind == CHANNEL else {}
    values = {"step": STEP[kind], "gain": f"{gain:,.2f}"}
    return english.format(name=names.get("en", name), **values), chinese.format(name=names.get("zh", name), **values)
