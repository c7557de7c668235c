"""The whole line for one day: refresh, retrain when it is due, act and measure."""

from datetime import date
from typing import Any

from dagster import DagsterInstance
from rich.console import Console

from orchestration.automation import REFRESH, TRIGGER, nightly, retrain
from orchestration.definitions import defs
from orchestration.defs.resources import COMPANY, HOME
from orchestration.report import collect
from orchestration.runs import execute, fail_orphaned_runs
from orchestration.warehouse import Warehouse

LOG = HOME / "logs" / "run.log"


def run_pipeline(as_of: date, *, console: Console) -> dict[str, Any]:
    """Run everything that the nightly and monthly schedules would have run for `as_of`; returns the run's figures."""
    definitions = defs()
    graph = definitions.resolve_asset_graph()
    line, training = definitions.resolve_job_def(nightly.name), definitions.resolve_job_def(retrain.name)
    refresh = REFRESH.resolve(graph)
    act = nightly.selection.resolve(graph) - refresh
    day, month = as_of.isoformat(), as_of.replace(day=1).isoformat()
    warehouse = Warehouse(path=str(HOME / "warehouse.duckdb"))
    with DagsterInstance.get() as instance:
        fail_orphaned_runs(instance)

        def step(title: str, job: Any, partition: str, only: Any = None, **tags: str) -> None:  # noqa: ANN401 - Dagster's own types
            console.rule(f"[bold]{title}[/bold]", align="left")
            execute(job, instance=instance, partition=partition, only=only, console=console, log=LOG, tags=tags)

        step(f"{COMPANY.name}: sources to features, as of {day}", line, day, list(refresh))
        if is_training_due(warehouse, as_of):
            step(f"training for {month[:7]}", training, month, **{TRIGGER: "monthly"})
        step("scores to recorded actions and their outcomes", line, day, list(act))
    return collect(warehouse, as_of=as_of)


def is_training_due(warehouse: Warehouse, as_of: date) -> bool:
    """Say whether the month of `as_of` still lacks its training; its row is written last, whatever came of it."""
    if not warehouse.has_table("monitoring.trainings"):
        return True
    newest = warehouse.read_value("select max(as_of) from monitoring.trainings")
    return newest is None or bool(newest < as_of.replace(day=1))
