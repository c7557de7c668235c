"""What a run shows on the console while it runs: a line per stage, and whatever failed in full."""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import dagster as dg
from rich.console import Console

POLL_SECONDS = 0.5
MODELS = "_models"  # the suffix of a step that builds dbt models


@dataclass
class Stage:
    """What a stage has done so far."""

    assets: int = 0
    rows: int = 0
    checks: int = 0
    failed: int = 0
    seconds: float = 0.0
    waiting: set[str] = field(default_factory=set)

    def describe(self, name: str) -> str:
        """Return the stage as a line."""
        rows = f"{self.rows:,} rows" if self.rows else ""
        failed = f", [red]{self.failed} failed[/red]" if self.failed else ""
        checks = f"{self.checks} checks passed{failed}" if self.checks or self.failed else ""
        return f"  {name:<14}{self.assets:>4} assets {rows:>16}   {checks:<18}{self.seconds:>8.1f} s"


class Progress:
    """Follows the events of one run: counts them by stage and prints a stage when its last step has ended."""

    def __init__(self, stages: Mapping[str, str], console: Console, *, is_verbose: bool) -> None:
        """Print to `console`; `stages` names the stage of every step of the run. Verbose prints every event."""
        self._of_step = stages
        self._console = console
        self._is_verbose = is_verbose
        self._started: dict[str, float] = {}
        self._stages: dict[str, Stage] = defaultdict(Stage)
        for step, stage in stages.items():
            self._stages[stage].waiting.add(step)

    def show(self, event: dg.DagsterEvent, *, at: float) -> None:
        """Count one event that happened `at` a moment in seconds, and print what it completes."""
        step = event.step_key or ""
        if step not in self._of_step:
            return
        stage = self._stages[self._of_step[step]]
        if event.is_step_start:
            self._started[step] = at
        elif event.is_step_materialization and event.asset_key is not None:
            self._count_asset(stage, event, event.asset_key)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._count_check(stage, event.asset_check_evaluation_data)
        elif event.is_step_success or event.is_step_failure or event.is_step_skipped:
            self._end_step(stage, step, at=at)
            if event.is_step_failure:
                self._console.print(f"  [red]STOP[/red]  {step}", soft_wrap=True)

    def _count_asset(self, stage: Stage, event: dg.DagsterEvent, key: dg.AssetKey) -> None:
        metadata = event.step_materialization_data.materialization.metadata
        rows = metadata.get("dagster/partition_row_count") or metadata.get("dagster/row_count")
        count = rows.value if rows is not None and isinstance(rows.value, int) else 0
        stage.assets += 1
        stage.rows += count
        if self._is_verbose:
            self._console.print(
                f"    [green]made[/green]  {key.to_user_string()}" + (f"  {count:,} rows" if count else "")
            )

    def _count_check(self, stage: Stage, check: dg.AssetCheckEvaluation) -> None:
        where = f"{check.check_name} on {check.asset_key.to_user_string()}"
        if check.passed:
            stage.checks += 1
            if self._is_verbose:
                self._console.print(f"    [green]pass[/green]  {where}")
            return
        is_warning = check.severity == dg.AssetCheckSeverity.WARN
        stage.failed += not is_warning
        word = "[yellow]WARN[/yellow]" if is_warning else "[red]FAIL[/red]"
        reason = f": {check.description}" if is_warning and check.description else ""  # a stop is explained at the end
        self._console.print(f"  {word}  {where}{reason}", soft_wrap=True, highlight=False)

    def _end_step(self, stage: Stage, step: str, *, at: float) -> None:
        stage.seconds += at - self._started.get(step, at)
        stage.waiting.discard(step)
        if not stage.waiting and stage.assets + stage.checks + stage.failed:
            self._console.print(stage.describe(self._of_step[step]), highlight=False)


def list_stages(definitions: dg.Definitions, selection: Collection[dg.AssetKey]) -> dict[str, str]:
    """Return the stage of every step that makes or checks the selected assets.

    A stage is an asset group; a step that makes several, as dbt's do, is a stage by its own name.
    """
    steps: dict[str, str] = {}
    of_asset: dict[dg.AssetKey, str] = {}
    for asset in definitions.assets or []:
        if isinstance(asset, dg.AssetsDefinition) and asset.keys & set(selection):
            groups = {str(spec.group_name) for spec in asset.specs}
            steps[asset.op.name] = groups.pop() if len(groups) == 1 else asset.op.name.removesuffix(MODELS)
            of_asset |= dict.fromkeys(asset.keys, steps[asset.op.name])
    for check in definitions.asset_checks or []:
        stages = {of_asset[spec.asset_key] for spec in check.check_specs if spec.asset_key in of_asset}
        if stages:
            steps[check.op.name] = min(stages)
    return steps


@contextmanager
def follow(instance: dg.DagsterInstance, run_id: str, progress: Progress) -> Iterator[None]:
    """Show the events of a run while the block executes it."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(instance, run_id, progress, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(instance: dg.DagsterInstance, run_id: str, progress: Progress, done: threading.Event) -> None:
    cursor: str | None = None
    is_last = False
    while not is_last:
        is_last = done.wait(POLL_SECONDS)
        with suppress(dg.DagsterError):
            connection = instance.get_records_for_run(run_id, cursor=cursor)
            cursor = connection.cursor
            for record in connection.records:
                event = record.event_log_entry.dagster_event
                if event is not None:
                    progress.show(event, at=record.event_log_entry.timestamp)
