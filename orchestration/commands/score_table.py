"""`holdfast score-table`: a model, scores and reasons from one flat table, without a company file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import Home, enter_home, open_console, plain_faults

File = Annotated[Path, typer.Argument(help="a csv, tsv or parquet file with a customer per row")]
Id = Annotated[str, typer.Option("--id", help="the column that identifies a customer")]
Label = Annotated[str, typer.Option("--label", help="the column that holds whether the customer left; empty: unknown")]
Without = Annotated[list[str] | None, typer.Option("--without", help="a column to leave out; may be repeated")]


def score_table(
    file: File, customer: Id, label: Label, without: Without = None, home: Home = Path(".holdfast")
) -> None:
    """Guess what the columns hold, learn who leaves, and score every customer, with reasons and a model card."""
    from ml.dataset import DatasetError
    from orchestration.flat_table import TableFileError

    with plain_faults(DatasetError, TableFileError):
        from company.policy import load_policy
        from ml.flat_table import read_flat_table, score_flat_table
        from ml.training.config import TrainConfig
        from orchestration.flat_table import keep_results, read_file, registry_of
        from orchestration.report import tabulate
        from orchestration.resources import open_registry

        policy, console = load_policy(), open_console()
        flat = read_flat_table(
            read_file(file), customer=customer, label=label, without=without or (), protected=policy.fairness.protected
        )
        columns = [{"column": each.name, "taken for": each.kind, "what it holds": each.evidence} for each in flat.kinds]
        console.print(tabulate(file.name, columns))
        today = datetime.now(UTC).date()
        found = score_flat_table(flat, TrainConfig(seed=policy.training.seed), as_of=today)
        settings = enter_home(home)
        registry = registry_of(open_registry(settings), file)
        scored = keep_results(flat, found, policy, registry, folder=settings.home / "tables" / file.stem, as_of=today)
    fitted = found.training.fitted
    shown = fitted.evaluations[fitted.chosen]
    console.print(
        f"{fitted.chosen}: AUC {shown.auc:.4f}, calibration error {shown.ece:.4f}, accuracy {shown.accuracy:.1%} next "
        f"to a majority baseline of {shown.majority_accuracy:.1%}, each customer predicted by a model of others.\n"
        f"Version {scored.version} of `{scored.model_name}`: {scored.decision}.",
        highlight=False,
        soft_wrap=True,
    )
    for path in scored.files:
        console.print(str(path), highlight=False, soft_wrap=True)
