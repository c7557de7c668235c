"""`holdfast segment`: whom a filter means, at once."""

from pathlib import Path
from typing import Annotated

import typer

from ingestion.readers import load_company
from orchestration.entry import CompanyFile, Home, open_console, plain_faults, read_home

SHOWN = (
    "customer_id",
    "tier",
    "score",
    "main_reason",
    "value_tier",
    "lifecycle_stage",
    "value_from_now",
    "money_at_risk",
)


def segment(
    condition: Annotated[str, typer.Argument(help="a declared segment's name, or an SQL condition over the customers")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
    limit: Annotated[int, typer.Option(min=0, help="how many customers to show")] = 100,
) -> None:
    """Count the customers who meet a condition, and show the first of them, the most money at risk first."""
    with plain_faults():
        from company.industries import load_industry
        from company.policy import load_policy
        from orchestration.published import published_in
        from orchestration.report import tabulate

        connected = load_company(company)
        policy = load_policy(load_industry(connected.industry).policy, connected.policy)
        declared = policy.segments.get(condition)
        found = published_in(home, key=read_home(home).encryption_key).segment(
            declared.filter if declared else condition, limit=limit
        )
    console = open_console()
    if found.customers.num_rows:
        console.print(tabulate(condition, found.customers.select(SHOWN).to_pylist()))
    console.print(f"{found.count:,} customers, {found.money_at_risk:,.0f} at risk.")
