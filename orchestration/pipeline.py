"""The whole pipeline for one day: refresh, retrain when it is due, act and measure."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from rich.console import Console

from orchestration.automation import REFRESH, TRIGGER, nightly, retrain
from orchestration.definitions import build_definitions
from orchestration.deployment import Deployment
from orchestration.home import forget_old_runs
from orchestration.report import collect
from orchestration.resources import open_warehouse
from orchestration.runs import execute, fail_orphaned_runs
from orchestration.warehouse import Warehouse


def run_pipeline(deployment: Deployment, as_of: date, *, console: Console) -> dict[str, Any]:
    """Run everything that the nightly and monthly schedules would have run for `as_of`; returns the run's figures."""
    definitions = build_definitions(deployment)
    graph = definitions.resolve_asset_graph()
    night, training = definitions.resolve_job_def(nightly.name), definitions.resolve_job_def(retrain.name)
    refresh = REFRESH.resolve(graph)
    act = nightly.selection.resolve(graph) - refresh
    day, month = as_of.isoformat(), as_of.replace(day=1).isoformat()
    home, warehouse = deployment.settings.home, open_warehouse(deployment.settings)
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        fail_orphaned_runs(instance)
        forget_old_runs(instance, days=deployment.policy.run_history_days, now=datetime.now(UTC))

        def step(title: str, job: Any, partition: str, only: Any = None, **tags: str) -> None:  # noqa: ANN401 - Dagster's own types
            console.rule(f"[bold]{title}[/bold]", align="left")
            log = home / "logs" / "run.log"
            execute(job, instance=instance, partition=partition, only=only, console=console, log=log, tags=tags)

        step(f"{deployment.company.name}: sources to features, as of {day}", night, day, list(refresh))
        if is_training_due(warehouse, as_of):
            step(f"training for {month[:7]}", training, month, **{TRIGGER: "monthly"})
        step("scores to recorded actions and their outcomes", night, day, list(act))
    return collect(warehouse, as_of=as_of)


def is_training_due(warehouse: Warehouse, as_of: date) -> bool:
    """Tell whether the month of `as_of` still lacks its training; its row is written last, whatever came of it."""
    newest = warehouse.latest_day("monitoring.trainings")
    return newest is None or newest < as_of.replace(day=1)
