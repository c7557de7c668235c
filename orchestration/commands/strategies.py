"""`holdfast strategies`: the library as it is set today, and changes of it that need no file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestration.deployment import Deployment
    from retention.deciding.strategies import Strategy
    from retention.deciding.strategy_changes import Setting, StrategyChange
    from retention.measuring.lifecycle import Review

app = typer.Typer(no_args_is_help=True, help="Strategies as they are set, and how to change them within their bounds.")

StrategyId = Annotated[str, typer.Argument(help="a strategy's id")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day that is shown, today by default")]


@app.command("list")
def list_strategies(
    as_of: Day = None, company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")
) -> None:
    """Show every strategy: whom it is for, what it costs, what it is expected to do, and how it is set."""
    from rich.table import Table

    with plain_faults():
        deployment = enter_deployment(company, home)
        settings = _settings(deployment, as_of)
    table = Table("strategy", "for", "by", "cost", "effect", "valid days", "set")
    for strategy, note in settings:
        cost = f"{strategy.cost(deployment.policy):.2f}"
        table.add_row(
            strategy.id, _describe(strategy), strategy.channel, cost, f"{strategy.effect.value:.1%}",
            str(strategy.valid_days), note,
        )  # fmt: skip
    open_console().print(table)


@app.command()
def show(
    strategy_id: StrategyId,
    as_of: Day = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Show one strategy with its messages in both languages and the bounds within which it may be changed."""
    with plain_faults():
        deployment = enter_deployment(company, home)
        settings = [pair for pair in _settings(deployment, as_of) if pair[0].id == strategy_id]
    if not settings:
        known = ", ".join(strategy.id for strategy in deployment.strategies)
        refuse(f"There is no strategy {strategy_id!r}; known here: {known}.")
    console = open_console()
    declared = next(strategy for strategy in deployment.strategies if strategy.id == strategy_id)
    strength, (least, most) = declared.bounds.strength, declared.days_allowed
    for strategy, note in settings:
        effect = strategy.effect
        lines = [
            f"{strategy.name.en} ({strategy.name.zh}), {note or 'as its file has it'}",
            f"for {_describe(strategy)}; by {strategy.channel}, with consent for {strategy.purpose}",
            f"effect {effect.value:.1%} ({effect.low:.1%} to {effect.high:.1%}), {effect.basis}: {effect.source}",
            f"cost {strategy.cost(deployment.policy):.2f}; valid for {strategy.valid_days} days",
            *strategy.texts().values(),
        ]
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    bounds = f"strength {strength.low:g} to {strength.high:g}, valid for {least} to {most} days"
    console.print(f"May be set to: {bounds}; or paused.", highlight=False)


@app.command("set")
def set_strategy(  # noqa: PLR0917 - the options of a command
    strategy_id: StrategyId,
    by: Annotated[str, typer.Option(help="who decides")],
    reason: Annotated[str, typer.Option(help="why; write no personal data")],
    strength: Annotated[float | None, typer.Option(help="factor on the amounts of the file")] = None,
    valid_days: Annotated[int | None, typer.Option(help="days for which the offer holds")] = None,
    is_paused: Annotated[bool | None, typer.Option("--pause/--resume", help="take it out of plans, or back in")] = None,
    customer: Annotated[str | None, typer.Option(help="for this customer alone")] = None,
    campaign: Annotated[str | None, typer.Option(help="for the days of this campaign alone")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="its first day")] = None,
    last: Annotated[datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="its last day")] = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Change a strategy within its bounds, for a customer, a campaign, or for good; the next plan goes by it."""
    with plain_faults(ValueError):
        deployment = enter_deployment(company, home)
        from orchestration.resources import open_store
        from retention.deciding.strategy_changes import StrategyChange, check

        change = StrategyChange(
            strategy_id=strategy_id,
            strength=strength,
            valid_days=valid_days,
            is_paused=is_paused,
            customer_id=customer,
            campaign=campaign,
            holds_from=first.date() if first else None,
            holds_until=last.date() if last else None,
            decided_by=by,
            reason=reason,
            decided_at=datetime.now(UTC),
        )
        check(change, deployment.strategies)
        with open_store(deployment.settings) as store:
            store.strategy_changes.record(change)
    open_console().print(f"{strategy_id}: {_summarise(change)}. The next plan goes by it.", highlight=False)


@app.command("state")
def set_state(  # noqa: PLR0917 - the options of a command
    strategy_id: StrategyId,
    by: Annotated[str, typer.Option(help="who decides")],
    reason: Annotated[str, typer.Option(help="why; write no personal data")],
    state: Annotated[str | None, typer.Argument(help="draft, live, watch or retired; without it see --release")] = None,
    release: Annotated[bool, typer.Option("--release", help="let the monthly figures decide again")] = False,  # noqa: FBT002
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Set where a strategy stands in its life, until it is released; draft and retired ones are in no plan."""
    with plain_faults(ValueError):
        deployment = enter_deployment(company, home)
        from orchestration.resources import open_store
        from retention.measuring.lifecycle import STATES, decide

        chosen = next((each for each in STATES if each == state), None)
        if (state is None) != release or (chosen is None) != (state is None):
            raise ValueError(f"Name one state of {', '.join(STATES)}, or pass --release alone.")
        if strategy_id not in {strategy.id for strategy in deployment.strategies}:
            known = ", ".join(strategy.id for strategy in deployment.strategies)
            raise ValueError(f"There is no strategy {strategy_id!r}; known here: {known}.")
        at = datetime.now(UTC)
        with open_store(deployment.settings) as store:
            past = store.strategy_reviews.read()
            [decided] = store.strategy_reviews.record(
                [decide(past, strategy_id, chosen, as_of=at.date(), by=by, note=reason, at=at)]
            )
    said = "is decided by its figures again" if release else f"is {decided.state} until it is released"
    open_console().print(f"{strategy_id} {said}. The next plan goes by it.", highlight=False)


@app.command()
def reviews(
    strategy_id: Annotated[str | None, typer.Argument(help="a strategy's id; all without it")] = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Show every review, the oldest first: what moved, by which figures or by whom, and what is suggested."""
    from rich.table import Table

    with plain_faults():
        deployment = enter_deployment(company, home)
        from orchestration.resources import open_store
        from retention.measuring.lifecycle import REASONS, SUGGESTIONS

        with open_store(deployment.settings) as store:
            past = store.strategy_reviews.read()
    table = Table("as of", "strategy", "state", "why", "difference", "decisions", "by", "to decide")
    for each in past:
        if strategy_id in {None, each.strategy_id}:
            moved = each.state if each.state == each.state_before else f"{each.state_before} to {each.state}"
            table.add_row(
                str(each.as_of), each.strategy_id, moved, each.note or REASONS[each.reason][0], _write_evidence(each),
                f"{each.n_treated or 0:,} / {each.n_holdout or 0:,}", each.decided_by, SUGGESTIONS[each.suggestion][0],
            )  # fmt: skip
    open_console().print(table)


def _write_evidence(review: "Review") -> str:
    if review.difference is None:
        return ""
    return f"{review.difference:+.1%} ({review.difference_low:+.1%} to {review.difference_high:+.1%})"


@app.command()
def history(
    strategy_id: Annotated[str | None, typer.Argument(help="a strategy's id; all without it")] = None,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Show every change that was ever made, by whom and why, the oldest first."""
    from rich.table import Table

    with plain_faults():
        changes = _read_changes(enter_deployment(company, home))
    table = Table("when", "strategy", "change", "by", "why")
    for change in changes:
        if strategy_id in {None, change.strategy_id}:
            when = f"{change.decided_at:%Y-%m-%d %H:%M}"
            table.add_row(when, change.strategy_id, _summarise(change), change.decided_by, change.reason)
    open_console().print(table)


def _read_changes(deployment: "Deployment") -> "list[StrategyChange]":
    from orchestration.resources import open_store

    with open_store(deployment.settings) as store:
        return store.strategy_changes.read()


def _settings(deployment: "Deployment", as_of: datetime | None) -> "Sequence[tuple[Strategy, str]]":
    """Return every strategy as it is set on a day, with what was changed, variants for single customers included."""
    from retention.deciding.strategy_changes import settle

    day = (as_of or datetime.now(UTC)).date()
    settled = settle(deployment.strategies, _read_changes(deployment), as_of=day)
    return [(strategy, _note(setting)) for strategy, setting in settled]


def _note(setting: "Setting") -> str:
    parts = [
        f"for customer {setting.customer_id}" if setting.customer_id else "",
        "paused" if setting.is_paused else "",
        f"strength {setting.strength:g}" if setting.strength != 1 else "",
        f"valid for {setting.valid_days} days" if setting.valid_days else "",
    ]
    return ", ".join(part for part in parts if part)


def _summarise(change: "StrategyChange") -> str:
    parts = [
        f"strength {change.strength:g}" if change.strength is not None else "",
        f"valid for {change.valid_days} days" if change.valid_days is not None else "",
        {True: "paused", False: "resumed", None: ""}[change.is_paused],
        f"for customer {change.customer_id}" if change.customer_id else "",
        f"for the campaign {change.campaign}" if change.campaign else "",
        f"from {change.holds_from}" if change.holds_from else "",
        f"until {change.holds_until}" if change.holds_until else "",
    ]
    return ", ".join(part for part in parts if part)


def _describe(strategy: "Strategy") -> str:
    asked = {
        "risk": strategy.tiers,
        "stage": strategy.stages,
        "value": strategy.value_tiers,
        "kind": strategy.kinds,
        "reason": strategy.reasons,
        "trigger": strategy.triggers,
        "complaint about": strategy.topics,
        "tag": strategy.tags,
    }
    return "; ".join(f"{name} {' or '.join(words)}" for name, words in asked.items() if words)
