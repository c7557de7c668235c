"""`holdfast model`: look at the versions, review one, and give the title back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from company.company_file import load_company
from orchestration.commands.entry import BAD_INPUT, CompanyFile, Home, console, enter_instance, plain_faults

app = typer.Typer(no_args_is_help=True, help="Look at model versions, review one, roll back.")

By = Annotated[str, typer.Option(help="who decides")]
SHOWN = {
    "version": "version",
    "alias": "alias",
    "standing": "standing",
    "review_state": "review",
    "trigger": "trigger",
    "as_of": "as of",
    "candidate": "candidate",
    "auc": "AUC",
    "pr_auc": "PR-AUC",
    "ece": "ECE",
    "decision": "decision",
}


@contextmanager
def faults_of_people() -> Iterator[None]:
    """Say what cannot be done with a version in one paragraph, exit code 2."""
    from ml.registry import RegistryError

    with plain_faults():
        try:
            yield
        except (RegistryError, ValueError) as fault:
            console.print(str(fault), style="red", highlight=False, markup=False, soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None


@app.command("list")
def show(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Show every version: what became of it, its figures on later data, and what asked for it."""
    with faults_of_people():
        load_company(company)
        enter_instance(company, home)
        from orchestration.defs.resources import open_registry
        from orchestration.report import tabulate

        registry = open_registry()
        rows = [describe(tags, registry.aliases()) for tags in registry.versions()]
    console.print(tabulate("Models", rows) if rows else "No model has been trained yet.")


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
    with faults_of_people():
        load_company(company)
        enter_instance(company, home)
        from orchestration import review as reviews
        from orchestration.defs.resources import open_registry, open_store

        outcome = reviews.review(
            open_registry(), open_store(), version, approve=approve, by=by, comment=comment, at=datetime.now(UTC)
        )
    console.print(f"Version {outcome.version}: {outcome.standing}. {outcome.reason}", highlight=False)


@app.command()
def rollback(
    by: By,
    reason: Annotated[str, typer.Option(help="why the champion goes")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Give the title back to the version before the champion; scores follow with the next run."""
    with faults_of_people():
        load_company(company)
        enter_instance(company, home)
        from orchestration.defs.resources import open_registry, open_store
        from orchestration.review import roll_back

        outcome = roll_back(open_registry(), open_store(), by=by, reason=reason, at=datetime.now(UTC))
    console.print(f"Version {outcome.version} is champion again. {outcome.reason}", highlight=False)
