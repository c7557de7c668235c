"""The whole pipeline for one day: refresh, retrain when it is due, act and measure."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from rich.console import Console

from orchestration.automation import AS_OF, COMPANY, REFRESH, SEND, TRIGGER, nightly, retrain
from orchestration.definitions import build_definitions
from orchestration.deployment import Deployment
from orchestration.history import keep_open
from orchestration.home import forget_old_runs
from orchestration.report import collect
from orchestration.resources import open_warehouse
from orchestration.runs import execute, fail_orphaned_runs
from orchestration.warehouse import Warehouse


def run_pipeline(
    deployment: Deployment, as_of: date, *, console: Console, is_verbose: bool = False, is_sending: bool = False
) -> dict[str, Any]:
    """Run everything that the nightly and monthly schedules would have run for `as_of`; returns the run's figures.

    Messages of a day that is over reach the built-in gateway alone, unless the run `is_sending`.

    The night is one run of Dagster; when the month's training is due it comes between its two halves.
    """
    with deployment.dbt.warm() as dbt:  # one process parses the project and serves all that follows
        return _run(replace(deployment, dbt=dbt), as_of, console=console, is_verbose=is_verbose, is_sending=is_sending)


def _run(
    deployment: Deployment, as_of: date, *, console: Console, is_verbose: bool, is_sending: bool
) -> dict[str, Any]:
    definitions = build_definitions(deployment)
    graph = definitions.resolve_asset_graph()
    night, training = (job.selection.resolve(graph) for job in (nightly, retrain))
    day, month = as_of.isoformat(), as_of.replace(day=1).isoformat()
    sending = {SEND: "asked for"} if is_sending else {}
    home, warehouse = deployment.settings.home, open_warehouse(deployment.settings)
    console.print(f"[bold]{deployment.company.name}[/bold], as of {day}", highlight=False)
    with keep_open(home / "dagster"), dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        fail_orphaned_runs(instance)
        forget_old_runs(instance, days=deployment.policy.run_history_days, now=datetime.now(UTC))

        def run(job: str, partition: str, selection: Collection[dg.AssetKey], **tags: str) -> None:
            execute(
                definitions,
                job,
                instance=instance,
                partition=partition,
                selection=selection,
                console=console,
                log=home / "logs" / "run.log",
                tags={COMPANY: deployment.company.name, AS_OF: day, **sending, **tags},
                is_verbose=is_verbose,
            )

        if is_training_due(warehouse, as_of):
            refresh = REFRESH.resolve(graph)
            run(nightly.name, day, refresh)
            run(retrain.name, month, training, **{TRIGGER: "monthly"})
            run(nightly.name, day, night - refresh)
        else:
            run(nightly.name, day, night)
    warehouse.engine.forget(days=deployment.policy.warehouse_history_days, now=datetime.now(UTC))
    console.print(f"Details are in {home / 'logs' / 'run.log'} and on Dagster's pages: `holdfast ui`.", soft_wrap=True)
    with warehouse.connect():  # so that each question opens the file at little cost
        return collect(warehouse, as_of=as_of)


def is_training_due(warehouse: Warehouse, as_of: date) -> bool:
    """Tell whether the month of `as_of` still lacks its training; its row is written last, whatever came of it."""
    newest = warehouse.latest_day("monitoring.trainings")
    return newest is None or newest < as_of.replace(day=1)
