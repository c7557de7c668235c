"""Runs a job in this process, shows its progress, and leaves the run in Dagster's history."""

import os
import socket
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import dagster as dg
from rich.console import Console

from orchestration.gates import PAGE, REMEDY
from orchestration.progress import Progress, follow, list_stages

PID_TAG, HOST_TAG = "holdfast/pid", "holdfast/host"
BAD_INPUT = {"CompanyError", "SourceError", "PolicyError", "StrategyError", "ChannelError", "IndustryError"}
NO_WORDS = "rows were found that it expects not to be there; see the check's page in Dagster."
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class PipelineStoppedError(Exception):
    """A run ended before its end; the message names the step and its reason in one paragraph."""

    def __init__(self, reason: str, *, is_bad_input: bool = False) -> None:
        """Hold the reason, and whether a person's input, not the instance, was at fault."""
        self.is_bad_input = is_bad_input
        super().__init__(reason)


def fail_orphaned_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process is gone, so that a killed run does not hold the queue for ever.

    Of runs on other machines, with which a history may be shared, nobody here can tell.
    """
    host = socket.gethostname()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)):
        pid = run.tags.get(PID_TAG) if run.tags.get(HOST_TAG, host) == host else None
        if pid and not Path(f"/proc/{pid}").exists() and not _is_alive(int(pid)):
            instance.report_run_failed(run, "The process of this run is gone. Whatever it left undone runs again.")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def execute(
    definitions: dg.Definitions,
    job: str,
    *,
    instance: dg.DagsterInstance,
    partition: str,
    selection: Collection[dg.AssetKey],
    console: Console,
    log: Path,
    tags: Mapping[str, str],
    is_verbose: bool = False,
) -> None:
    """Run what `selection` names of a job for one partition; raises PipelineStoppedError with the first failure."""
    run_id = str(uuid4())
    stages = list_stages(definitions, selection)
    with quiet(log) as file:
        screen = Console(file=file, force_terminal=console.is_terminal, width=console.width)
        with follow(instance, run_id, Progress(stages, screen, is_verbose=is_verbose)):
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                partition_key=partition,
                run_id=run_id,
                run_config=QUIET,
                raise_on_error=False,
                asset_selection=list(selection),
                tags={**tags, PID_TAG: str(os.getpid()), HOST_TAG: socket.gethostname()},
            )
    if not result.success:
        raise _explain_failure(instance, run_id)


@contextmanager
def quiet(log: Path) -> Iterator[IO[str]]:
    """Send what libraries print to `log`; yields the real screen for those who have something to say."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as sink, os.fdopen(os.dup(1), "w", buffering=1) as screen:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        try:
            yield screen
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])


def _explain_failure(instance: dg.DagsterInstance, run_id: str) -> PipelineStoppedError:
    """Return everything that closed a gate, or the root cause of the first failed step, without a stack trace."""
    records = instance.get_records_for_run(run_id).records
    events = [event for record in records if (event := record.event_log_entry.dagster_event) is not None]
    evaluations = [
        event.asset_check_evaluation_data
        for event in events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    closed = [
        check
        for check in evaluations
        if check.blocking and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    if closed:
        sentences = dict.fromkeys(
            f"{check.check_name} closed after {check.asset_key.to_user_string()}: {check.description or NO_WORDS}"
            for check in closed
        )
        return PipelineStoppedError("\n\n".join([*sentences, *dict.fromkeys(filter(None, map(_how_to_go_on, closed)))]))
    for event in events:
        if event.is_step_failure:
            return _root(event.step_key, event.step_failure_data.error)
    return PipelineStoppedError(f"Run {run_id} did not finish; see its page in Dagster.")


def _how_to_go_on(check: dg.AssetCheckEvaluation) -> str:
    """Return what the check says about going on, and where its page lies; nothing where it says neither."""
    if REMEDY not in check.metadata:
        return ""
    return f"{check.metadata[REMEDY].value} {check.metadata[PAGE].value} shows all findings."


def _root(step: str | None, error: Any) -> PipelineStoppedError:  # noqa: ANN401 - Dagster does not export the type
    """Return the innermost cause of a failed step in its own words."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return PipelineStoppedError(f"{step} failed without a reason; see the run's page in Dagster.")
    words = error.message.strip().removeprefix(f"{error.cls_name}: ").split(": ", maxsplit=1)
    is_qualified = words[0].endswith(str(error.cls_name)) and len(words) > 1
    reason = words[1] if is_qualified else error.message.strip()
    is_bad_input = error.cls_name in BAD_INPUT
    return PipelineStoppedError(reason if is_bad_input else f"{step}: {reason}", is_bad_input=is_bad_input)
