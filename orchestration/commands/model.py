"""`holdfast model`: look at the versions, review one, and give the title back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, require_instance

app = typer.Typer(no_args_is_help=True, help="Look at model versions, review one, roll back.")

By = Annotated[str, typer.Option(help="who decides")]
TRIALS = "monitoring.model_trials"
LATEST_TRIAL = f"select * from {TRIALS} order by as_of desc limit 1"
SHOWN = {
    "version": "version",
    "alias": "alias",
    "lifecycle_status": "status",
    "review_state": "review",
    "trigger": "trigger",
    "as_of": "as of",
    "candidate": "candidate",
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "ece": "ECE",
    "decision": "decision",
}


@app.command("list")
def show(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Show every version: what became of it, its figures on later data, and what asked for it; and a live trial."""
    with plain_faults():
        require_instance(home)
        settings = enter_deployment(company, home).settings
        from orchestration.report import tabulate
        from orchestration.resources import open_registry, open_warehouse

        registry = open_registry(settings)
        rows = [describe(tags, registry.aliases()) for tags in registry.versions()]
        warehouse = open_warehouse(settings)
        trials = warehouse.read(LATEST_TRIAL).to_pylist() if warehouse.latest_day(TRIALS) else []
    open_console().print(tabulate("Models", rows) if rows else "No model has been trained yet.")
    if trials:
        open_console().print(tabulate("Trial on customers", [describe_trial(trial) for trial in trials]))


def describe_trial(trial: Mapping[str, Any]) -> dict[str, object]:
    """Return a day of a trial as a row for a person, in currency per customer and scored day."""
    band = "not enough customers yet"
    if trial["difference"] is not None:
        low, high = trial["difference_low"], trial["difference_high"]
        band = f"{trial['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
    return {
        "as of": trial["as_of"],
        "champion": f"{trial['champion']}, {trial['count_champion']} scores",
        "challenger": f"{trial['challenger']}, {trial['count_challenger']} scores",
        "challenger's value less cost, more": band,
        "verdict": trial["verdict"],
    }


def describe(tags: Mapping[str, str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Return a version's tags as a row for a person."""
    alias = ", ".join(name for name, version in aliases.items() if version == tags["version"])
    found = {**tags, "alias": alias}
    return {title: found.get(name, "") for name, title in SHOWN.items()}


@app.command()
def review(  # noqa: PLR0917 - the options of a command
    version: Annotated[str, typer.Argument(help="the version's number")],
    approve: Annotated[bool, typer.Option("--approve/--reject", help="the verdict")],
    by: By,
    comment: Annotated[str, typer.Option(help="what the verdict rests on")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Approve or reject a version that waits; an approved one becomes champion when it still passes the policy."""
    from ml.registry import RegistryError
    from orchestration import review as reviews
    from orchestration.resources import open_registry, open_store

    with plain_faults(RegistryError, ValueError):
        require_instance(home)
        settings = enter_deployment(company, home).settings
        with open_store(settings) as store:
            outcome = reviews.review(
                open_registry(settings), store, version, approve=approve, by=by, comment=comment, at=datetime.now(UTC)
            )
    open_console().print(f"Version {outcome.version}: {outcome.lifecycle_status}. {outcome.reason}", highlight=False)


@app.command()
def rollback(
    by: By,
    reason: Annotated[str, typer.Option(help="why the champion goes")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Give the title back to the version before the champion; scores follow with the next run."""
    from ml.registry import RegistryError
    from orchestration.resources import open_registry, open_store
    from orchestration.review import roll_back

    with plain_faults(RegistryError, ValueError):
        require_instance(home)
        settings = enter_deployment(company, home).settings
        with open_store(settings) as store:
            outcome = roll_back(open_registry(settings), store, by=by, reason=reason, at=datetime.now(UTC))
    open_console().print(f"Version {outcome.version} is champion again. {outcome.reason}", highlight=False)
