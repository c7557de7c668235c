"""`holdfast score-table`: a model, scores, reasons and a plan from one flat table, without a company file."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults

if TYPE_CHECKING:
    from company.policy import Policy
    from orchestration.flat_table import ScoredTable

Period = Literal["month", "year"]
File = Annotated[Path, typer.Argument(help="a csv, tsv or parquet file with a customer per row")]
Id = Annotated[str, typer.Option("--id", help="the column that identifies a customer")]
Label = Annotated[str, typer.Option("--label", help="the column that holds whether the customer left; empty: unknown")]
Without = Annotated[list[str] | None, typer.Option("--without", help="a column to leave out; may be repeated")]
Paid = Annotated[str | None, typer.Option("--paid", help="the column with what a customer pays, for the plan")]
Per = Annotated[Period, typer.Option("--per", help="how often that is paid")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="a file with keys of the policy that are your own")]


def score_table(
    file: File,
    *,
    customer: Id,
    label: Label,
    without: Without = None,
    paid: Paid = None,
    per: Per = "month",
    policy_file: PolicyFile = None,
    home: Home = Path(".holdfast"),
) -> None:
    """Guess what the columns hold, learn who leaves, score every customer, and plan whom to contact."""
    from ml.dataset import DatasetError
    from orchestration.flat_table import TableFileError

    with plain_faults(DatasetError, TableFileError):
        from company.policy import load_policy
        from company.yaml_file import read_yaml
        from ml.flat_table import read_flat_table, score_flat_table
        from ml.training.config import TrainConfig
        from orchestration.flat_table import keep_results, read_file, registry_of, value_customers
        from orchestration.report import tabulate
        from orchestration.resources import open_registry

        policy = load_policy(read_yaml(policy_file).content if policy_file else None)
        console = open_console()
        flat = read_flat_table(
            read_file(file), customer=customer, label=label, without=without or (), protected=policy.fairness.protected
        )
        columns = [{"column": each.name, "taken for": each.kind, "what it holds": each.evidence} for each in flat.kinds]
        console.print(tabulate(file.name, columns))
        values = value_customers(flat, policy, paid=paid, per=per) if paid else None
        today = datetime.now(UTC).date()
        found = score_flat_table(flat, TrainConfig(seed=policy.training.seed))
        settings = enter_home(home)
        registry = registry_of(open_registry(settings), file)
        folder = settings.home / "tables" / file.stem
        scored = keep_results(flat, found, policy, registry, values=values, folder=folder, as_of=today)
    fitted = found.training.fitted
    shown = fitted.evaluations[fitted.chosen]
    console.print(
        f"{fitted.chosen}: AUC {shown.auc:.4f}, calibration error {shown.ece:.4f}, accuracy {shown.accuracy:.1%} next "
        f"to a majority baseline of {shown.majority_accuracy:.1%}, each customer predicted by a model of others.\n"
        f"Version {scored.version} of `{scored.model_name}`: {scored.decision}.\n{describe_plan(scored, policy)}",
        highlight=False,
        soft_wrap=True,
    )
    for path in scored.files:
        console.print(str(path), highlight=False, soft_wrap=True)


def describe_plan(scored: "ScoredTable", policy: "Policy") -> str:
    """Return what the plan does and why the others are left alone, as one line."""
    assumed = policy.expected_profit
    cost, of = policy.contact_costs[assumed.channel], scored.planned
    contact = f"{assumed.channel} contacts at {cost:g} each, which keep {assumed.effect:.0%} of those who would leave"
    has_values = not math.isnan(scored.profit)
    profit = f", expected profit {scored.profit:,.0f}" if has_values else ", the most likely to leave"
    left_alone = (
        f"Left alone: {of.get('held_out', 0):,} to measure the effect, {of.get('budget_spent', 0):,} beyond budget or "
        f"capacity, {of.get('not_worth_it', 0):,} not worth a contact, {of.get('value_unknown', 0):,} of unknown "
        f"value, {of.get('has_left', 0):,} who have left."
    )
    hint = "" if has_values else "\nName the column with what a customer pays (--paid) to weigh what would be lost."
    return f"Plan: {of.get('best_use_of_budget', 0):,} {contact}{profit}.\n{left_alone}{hint}"
