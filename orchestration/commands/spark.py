"""`holdfast spark`: a day's tables built, checked and scored by Spark, and compared with the warehouse."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, require_instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from orchestration.spark.build import Built
    from orchestration.spark.parity import Compared


def spark(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day; the latest one otherwise")
    ] = None,
    master: Annotated[
        str,
        typer.Option(help="where Spark works; HOLDFAST_SPARK_MASTER or local[*] otherwise"),
    ] = "",
    memory: Annotated[str, typer.Option(help="memory of the driver; HOLDFAST_SPARK_MEMORY or 2g otherwise")] = "",
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Build, check and score a day on Spark into HOME/spark, and compare every public table's cells."""
    console = open_console()
    with plain_faults():
        require_instance(home)
        deployment = enter_deployment(company, home)
        from orchestration.dbt import read_run
        from orchestration.home import hold
        from orchestration.resources import open_registry, open_warehouse
        from orchestration.spark.build import SparkError, build_on_spark
        from orchestration.spark.parity import compare_public, list_public
        from orchestration.spark.publish import publish
        from orchestration.spark.stages import plan_stages

        warehouse = open_warehouse(deployment.settings)
        day = as_of.date() if as_of else warehouse.latest_day("features.customer_features")
        if day is None:
            raise SparkError(f"{home}: no features stand yet. Begin with `holdfast run`.")
        run = read_run(deployment.company, deployment.policy, as_of=day)
        master, memory = master or deployment.settings.spark_master, memory or deployment.settings.spark_memory
        with hold(deployment.settings.home):
            stages = plan_stages(deployment, warehouse, open_registry(deployment.settings), as_of=day)
            built = build_on_spark(deployment, warehouse, run=run, master=master, memory=memory, stages=stages)
        manifest = deployment.dbt.manifest
        compared = [] if built.failed else compare_public(warehouse, built.folder, manifest)
        file = None if built.failed or built.closed_by else publish(built.folder, list_public(built.folder, manifest))
    show(console, built, compared, day=day, master=master)
    if file:
        console.print(f"Published as {file}.", highlight=False, soft_wrap=True)
    raise typer.Exit(int(not file or any(each.differing for each in compared)))


def show(console: "Console", built: "Built", compared: "Sequence[Compared]", *, day: date, master: str) -> None:
    """Print what failed, or the tables with how many cells differ, and what the gates found."""
    from orchestration.report import tabulate

    if built.failed:
        rows = [{"node": each.unique_id, "status": each.status, "message": each.message[:200]} for each in built.failed]
        console.print(tabulate("Not built on Spark", rows))
        return
    console.print(tabulate(f"Built on Spark for {day}", [vars(each) for each in compared]))
    found = [each for each in built.counts if each.offenders]
    if found:
        columns = ("seam", "table", "rule", "offenders", "closes")
        console.print(tabulate("Gates", [{name: getattr(each, name) for name in columns} for each in found]))
    if built.training:
        console.print(tabulate("Trees of all labelled rows", [dict(built.training)]))
        console.print(f"The model is in {built.folder.model}.", highlight=False, soft_wrap=True)
    took = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in built.seconds.items())
    console.print(f"Time: {took}.", highlight=False, soft_wrap=True)
    differing, cells = (sum(getattr(each, name) for each in compared) for name in ("differing", "cells"))
    console.print(
        f"{len(built.nodes)} models and tests on {master}; {len(built.counts)} rules of the gates, "
        f"{len(built.closed_by)} of them broken; {differing:,} of {cells:,} cells of public tables differ from the "
        f"warehouse. The Parquet files are in {built.folder.tables}.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
