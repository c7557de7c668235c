"""`holdfast score-table`: a model, scores, reasons and a plan from one flat table, without a company file."""

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from company.snapshot import Period
from orchestration.entry import Home, enter_home, open_console, plain_faults, refuse

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from company.policy import Policy
    from company.snapshot import Snapshot
    from ml.flat_table import FlatTable
    from orchestration.flat_table import ScoredTable
    from orchestration.settings import Settings

WITHOUT_VALUES = (
    "Name the column with what a customer pays (`--paid`, or `paid` under `snapshot`) to weigh what would be lost."
)
File = Annotated[Path, typer.Argument(help="a csv, tsv or parquet file with a customer per row")]
Id = Annotated[str, typer.Option("--id", help="the column that identifies a customer")]
Label = Annotated[str, typer.Option("--label", help="the column that holds whether the customer left; empty: unknown")]
Without = Annotated[list[str] | None, typer.Option("--without", help="a column to leave out; may be repeated")]
Paid = Annotated[str | None, typer.Option("--paid", help="the column with what a customer pays, for the plan")]
Per = Annotated[Period, typer.Option("--per", help="how often that is paid")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="of a text file that is not UTF-8, such as cp1252")]
Separator = Annotated[str | None, typer.Option("--separator", help="what stands between two values of a text file")]
Decimal = Annotated[Literal[".", ","] | None, typer.Option("--decimal", help="the decimal sign of numbers")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="a file with keys of the policy that are your own")]


def score_table(
    file: File,
    *,
    customer: Id,
    label: Label,
    without: Without = None,
    paid: Paid = None,
    per: Per = "month",
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: Decimal = None,
    policy_file: PolicyFile = None,
    home: Home = Path(".holdfast"),
) -> None:
    """Guess what the columns hold, learn who leaves, score every customer, and plan whom to contact."""
    with plain_flat_faults():
        from company.policy import load_policy
        from company.yaml_file import read_yaml

        policy = load_policy(read_yaml(policy_file).content if policy_file else None)
        columns = {"id": customer, "label": label, "without": without or (), "paid": paid, "per": per}
        snapshot = _declare(file=file, encoding=encoding, separator=separator, decimal=decimal, **columns)
        flat = check_and_show(snapshot, policy)
        score_and_show(snapshot, flat, policy, enter_home(home), as_of=datetime.now(UTC).date())


def plain_flat_faults() -> "AbstractContextManager[None]":
    """Turn what a person can fix in a flat table into one paragraph, see `plain_faults`."""
    from ingestion.flat_file import FlatFileError
    from ml.dataset import DatasetError

    return plain_faults(DatasetError, FlatFileError)


def check_and_show(snapshot: "Snapshot", policy: "Policy") -> "FlatTable":
    """Show what the columns were taken for; raises a DatasetError where the table cannot be scored."""
    from orchestration.flat_table import open_table, require_scorable
    from orchestration.report import tabulate

    flat = open_table(snapshot, policy)
    columns = [{"column": each.name, "taken for": each.kind, "what it holds": each.evidence} for each in flat.kinds]
    open_console().print(tabulate(snapshot.file.name, columns))
    require_scorable(snapshot, flat, policy)
    return flat


def score_and_show(
    snapshot: "Snapshot", flat: "FlatTable", policy: "Policy", settings: "Settings", *, as_of: date
) -> dict[str, Any]:
    """Score the table and show what came of it; returns the figures."""
    from orchestration.flat_table import score_table

    scored = score_table(snapshot, flat, policy, settings, as_of=as_of)
    console, shown = open_console(), scored.evaluation
    console.print(
        f"{scored.chosen}: AUC {shown.auc:.4f}, calibration error {shown.ece:.4f}, accuracy {shown.accuracy:.1%} next "
        f"to a majority baseline of {shown.majority_accuracy:.1%}, each customer predicted by a model of others.\n"
        f"Version {scored.version} of `{scored.model_name}`: {scored.decision}.\n{describe_plan(scored, policy)}",
        highlight=False,
        soft_wrap=True,
    )
    for path in scored.files:
        console.print(str(path), highlight=False, soft_wrap=True)
    training = {"chosen": scored.chosen, "version": scored.version, "decision": scored.decision, **shown.as_dict()}
    files = [str(path) for path in scored.files]
    return {"as_of": as_of, "training": training, "decisions": dict(scored.planned), "files": files}


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
    hint = "" if has_values else f"\n{WITHOUT_VALUES}"
    return f"Plan: {of.get('best_use_of_budget', 0):,} {contact}{profit}.\n{left_alone}{hint}"


def _declare(**content: Any) -> "Snapshot":  # noqa: ANN401 - the options of the command
    from pydantic import ValidationError

    from company.snapshot import Snapshot

    try:
        return Snapshot.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        refuse(f"--{first['loc'][0]} {first['input']!r}: {first['msg'].removeprefix('Value error, ')}.")
