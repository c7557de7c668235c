"""`holdfast experiments`: what is known of every strategy, and of versions tried against each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.entry import By, CompanyFile, Home, enter_deployment, entered, open_console, plain_faults, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestration.deployment import Deployment

app = typer.Typer(
    no_args_is_help=True, help="What is known of strategies and of their versions, and when more will be."
)

EFFECTS, VERSIONS, GUARDRAILS = "outcomes.strategy_effects", "outcomes.version_effects", "outcomes.guardrails"
CONTAMINATION, CUSTOMERS = "outcomes.contamination", "customer_360.customers"
LATEST = f"select * from {EFFECTS} where is_latest order by strategy_id"
LOOKS = f"select * from {EFFECTS} where strategy_id = $strategy_id order by looked_on"
COMPARED = f"select * from {VERSIONS} where strategy_id = $strategy_id and is_latest order by against, version"
REACHED = f"select * from {CONTAMINATION} where strategy_id = $strategy_id order by arm"
SIDE_EFFECTS = f"select * from {GUARDRAILS} where strategy_id = $strategy_id and treated is not null"


@app.command("list")
def list_experiments(company: CompanyFile = Path("company.yaml"), home: Home = Path(".holdfast")) -> None:
    """Show the verdict on every strategy, its interval, and the day when there can be one."""
    with plain_faults():
        deployment = enter_deployment(company, home)
        rows = _read(deployment, EFFECTS, LATEST)
    versions = {each.id: ", ".join(version.id for version in each.versions) for each in deployment.strategies}
    shown = [_summarise(row) | {"versions": versions.get(row["strategy_id"], "")} for row in rows]
    _print("Verdicts", shown)


@app.command()
def show(
    strategy_id: Annotated[str, typer.Argument(help="a strategy's id, or all")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Show all looks at a strategy, its guardrails, own campaigns that reached its customers, and its versions."""
    with plain_faults():
        deployment = enter_deployment(company, home)
        looks = _read(deployment, EFFECTS, LOOKS, strategy_id=strategy_id)
        guarded = _read(deployment, GUARDRAILS, SIDE_EFFECTS, strategy_id=strategy_id)
        compared = _read(deployment, VERSIONS, COMPARED, strategy_id=strategy_id)
        reached = _read(deployment, CONTAMINATION, REACHED, strategy_id=strategy_id)
    if not looks:
        known = ", ".join(strategy.id for strategy in deployment.strategies)
        refuse(f"Nothing was decided for {strategy_id!r} so far; the strategies are: {known}.")
    _print(strategy_id, [{"day": row["looked_on"], "look": row["look"]} | _summarise(row) for row in looks])
    if guarded:
        _print("Guardrails", [_describe(row) for row in guarded])
    if reached:
        _print("Reached by the company's own campaigns", [_count_reached(row) for row in reached])
    if compared:
        _print("Versions", [{name: row[name] for name in ("version", "against")} | _summarise(row) for row in compared])


@app.command("import")
def import_assignments(
    file: Annotated[Path, typer.Argument(help="a CSV: customer, experiment, version, assigned_at", dir_okay=False)],
    by: By,
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Take over which version customers get, as another system has drawn it; whoever is held out stays so."""
    from orchestration.sending import now
    from retention.deciding.assignments import AssignmentError, check_assignments, read_assignments

    at = now()
    with entered(company, home) as (deployment, store):
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
            rows = read_assignments(lines, timezone=deployment.company.timezone)
            new = check_assignments(
                rows, deployment.strategies, known=store.assignments.read_versions(), at=at,
                level=deployment.policy.outcomes.sample_ratio_level,
            )  # fmt: skip
        except (OSError, UnicodeDecodeError, AssignmentError) as error:
            raise ValueError(f"{file}: {error} Nothing was imported.") from None
        store.assignments.record(new, by=by, at=at)
        held = _count_held_out(deployment, [each.customer_id for each in new])
        unknown = _count_unknown(deployment, {each.customer_id for each in new})
    open_console().print(
        f"{len(new)} assignments imported, {len(rows) - len(new)} were known. {held} of these customers are held out "
        "this year and stay untreated.",
        soft_wrap=True,
    )
    if unknown:
        open_console().print(
            f"{unknown} of these customers are not known: {CUSTOMERS} has no such ids. Compare how they are "
            "written there, unless they are still to come.",
            soft_wrap=True,
        )


def _count_held_out(deployment: "Deployment", customers: "list[str]") -> int:
    from orchestration.sending import now
    from retention.deciding.holdout import draw, salt_of

    holdout = deployment.policy.holdout
    salt = salt_of(holdout, now().date())
    return int(draw(sorted(set(customers)), salt=salt, share=holdout.share).sum())


def _count_unknown(deployment: "Deployment", customers: "set[str]") -> int:
    known = {row["customer_id"] for row in _read(deployment, CUSTOMERS, f"select customer_id from {CUSTOMERS}")}
    return len(customers - known)


def _read(deployment: "Deployment", table: str, query: str, **parameters: str) -> "list[dict[str, Any]]":
    from orchestration.resources import open_warehouse

    warehouse = open_warehouse(deployment.settings)
    if not warehouse.has_table(table):
        return []
    rows: list[dict[str, Any]] = warehouse.read(query, parameters or None).to_pylist()
    return rows


def _summarise(row: dict[str, Any]) -> dict[str, object]:
    return {
        "strategy": row["strategy_id"],
        "verdict": row["verdict"] + (f": {row['because']}" if row["because"] else ""),
        "treated": row["n_treated"],
        "against": row["n_holdout"],
        "difference": _interval(row, "difference"),
        "needed": f"{row['needed_treated']} / {row['needed_holdout']}",
        "expected on": row["verdict_expected_on"] or "",
    }


def _describe(row: dict[str, Any]) -> dict[str, object]:
    """Return a guardrail in words: margin in currency, the others as shares of the customers."""
    form = ".2f" if row["guardrail"] == "margin" else ".1%"
    figures = {name: "" if row[name] is None else f"{row[name]:{form}}" for name in ("treated", "holdout", "allowed")}
    if row["difference"] is None:
        return {"guardrail": row["guardrail"], **figures, "difference": "", "state": "not known yet"}
    low, high = row["difference_low"], row["difference_high"]
    return {
        "guardrail": row["guardrail"],
        **figures,
        "difference": f"{row['difference']:+{form}} ({low:+{form}} to {high:+{form}})",
        "state": "broken" if row["is_broken"] else "not broken",
    }


def _count_reached(row: dict[str, Any]) -> dict[str, object]:
    return {
        "arm": row["arm"],
        "decisions": row["count_decisions"],
        "reached": f"{row['count_reached']} ({row['count_reached'] / row['count_decisions']:.0%})",
        "contacts": row["count_touches"],
    }


def _interval(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return ""
    return f"{row[name]:+.1%} ({row[f'{name}_low']:+.1%} to {row[f'{name}_high']:+.1%})"


def _print(title: str, rows: "Sequence[dict[str, object]]") -> None:
    from orchestration.report import tabulate

    console = open_console()
    if not rows:
        console.print("Nothing is measured yet. Outcomes are read at the end of every run: `holdfast run`.")
        return
    console.print(tabulate(title, list(rows)))
