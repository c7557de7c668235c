"""`holdfast override`: a closed gate is opened by name."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, require_instance


class Seam(StrEnum):
    """The five gates."""

    SOURCES = "sources"
    CUSTOMER_360 = "customer_360"
    FEATURES = "features"
    SCORES = "scores"
    PLANS = "plans"


def override(  # noqa: PLR0917 - the options of a command
    seam: Annotated[Seam, typer.Argument(help="the gate")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="the day whose gate is closed")],
    by: Annotated[str, typer.Option(help="who takes the responsibility")],
    reason: Annotated[str, typer.Option(help="why the pipeline may go on")],
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Let the pipeline go on behind a closed gate, by name and with a reason; both are recorded."""
    with plain_faults():
        require_instance(home)
        settings = enter_deployment(company, home).settings
        from orchestration.control.gate_overrides import GateOverrides
        from orchestration.resources import open_store

        with open_store(settings) as store:
            GateOverrides(store).grant(seam.value, as_of.date(), by=by, reason=reason, at=datetime.now(UTC))
    open_console().print(
        f"The {seam.value} gate of {as_of.date()} is overridden by {by}. Materialize the stages behind it."
    )
