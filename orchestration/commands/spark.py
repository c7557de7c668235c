"""`holdfast spark`: one day's customer view and features built by Spark, and compared with the warehouse."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from orchestration.entry import CompanyFile, Home, enter_deployment, open_console, plain_faults, require_instance


def spark(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="the day; the latest one otherwise")
    ] = None,
    master: Annotated[
        str, typer.Option(envvar="HOLDFAST_SPARK_MASTER", help="where Spark works: local[*], or spark://host:7077")
    ] = "local[*]",
    memory: Annotated[str, typer.Option(help="memory of the driver")] = "2g",
    company: CompanyFile = Path("company.yaml"),
    home: Home = Path(".holdfast"),
) -> None:
    """Build the models of a day on Spark into HOME/spark/tables, test them, and compare every public table's cells."""
    from orchestration.spark.build import SparkError

    console = open_console()
    with plain_faults(SparkError):
        require_instance(home)
        deployment = enter_deployment(company, home)
        from orchestration.dbt import read_run
        from orchestration.report import tabulate
        from orchestration.resources import open_warehouse
        from orchestration.spark.build import build_on_spark
        from orchestration.spark.parity import compare_public

        warehouse = open_warehouse(deployment.settings)
        day = as_of.date() if as_of else warehouse.latest_day("features.customer_features")
        if day is None:
            raise SparkError(f"{home}: no features stand yet. Begin with `holdfast run`.")
        run = read_run(deployment.company, deployment.policy, as_of=day)
        folder, results = build_on_spark(deployment, warehouse, run=run, master=master, memory=memory)
        failed = [each for each in results if each.status not in {"success", "pass"}]
        compared = [] if failed else compare_public(warehouse, folder, deployment.dbt.manifest)
    if failed:
        rows = [{"node": each.unique_id, "status": each.status, "message": each.message[:200]} for each in failed]
        console.print(tabulate("Not built on Spark", rows))
        raise typer.Exit(1)
    console.print(tabulate(f"Built on Spark for {day}", [vars(each) for each in compared]))
    differing, cells = (sum(getattr(each, name) for each in compared) for name in ("differing", "cells"))
    console.print(
        f"{len(results)} models and tests on {master}; {differing:,} of {cells:,} cells of public tables differ "
        f"from the warehouse. The Parquet files are in {folder.tables}.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    raise typer.Exit(int(differing > 0))
