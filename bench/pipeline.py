"""How long a company waits: start-up, each stage, the first run, a run with nothing new; and how long a contributor.

`make bench TOPIC=pipeline` runs the demo's company twice in a fresh instance and writes bench/results/pipeline.json;
`python -m bench.pipeline --company FILE --as-of DAY` measures another company and writes nothing. `--tests` also takes
the time of `make test`, `--ci` that of `.ci/run`: minutes each, on a machine that does nothing else.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import Figure, at_most, record, without_bar
from company.policy import load_policy
from dbt_project.variables import declare_ground

ROOT = Path(__file__).parent.parent
DEMO, DEMO_DAY = ROOT / "examples" / "complete_journey" / "company.yaml", "2017-12-01"
# What Dagster does to reload a code location: a new process that loads all definitions.
LOAD = "from orchestration.definitions import defs; defs().get_repository_def()"
REPEATS = 3  # of what takes seconds; the fastest counts, because nothing but noise makes it slower
SHORTEST_STEP = 1.0  # seconds


@dataclass(frozen=True)
class Measured:
    """What a command took: seconds on the clock, seconds of processor, and GiB of its largest process."""

    wall: float
    processor: float
    memory: float


def measure(*command: str, environment: Mapping[str, str]) -> Measured:
    """Run a command to its end; raises CalledProcessError with what it printed when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env={**environment}, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            print(output.read()[-4000:], file=sys.stderr)
            raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def measure_best(*command: str, environment: Mapping[str, str]) -> Measured:
    """Return the fastest of some runs of a command."""
    return min((measure(*command, environment=environment) for _ in range(REPEATS)), key=lambda each: each.wall)


def measure_start(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Measure what comes before any work, on an instance that has run: imports, definitions, dbt's parse."""
    python = [sys.executable, "-W", "ignore", "-c"]
    yield (
        "import of the command line",
        "s",
        without_bar(measure_best(*python, "import orchestration.cli", environment=environment).wall),
    )
    loaded = measure_best(*python, LOAD, environment=environment)
    yield "reload of the code location, unchanged project", "s", at_most(loaded.wall, 3)
    yield "reload of the code location, memory", "GiB", without_bar(loaded.memory)
    project = str(ROOT / "dbt_project")
    parse = [sys.executable, "-m", "dbt.cli.main", "--quiet", "parse", "--project-dir", project]
    parse += ["--profiles-dir", project, "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    parse += ["--vars", json.dumps(declare_ground(load_policy()))]
    yield "dbt parse, nothing parsed before", "s", without_bar(measure(*parse, environment=environment).wall)
    yield "dbt parse, unchanged project", "s", without_bar(measure_best(*parse, environment=environment).wall)


def measure_runs(
    company: Path, as_of: str, environment: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Measure the first run of an instance and the same day again."""
    command = [sys.executable, "-m", "orchestration.cli", "run", "--company", str(company), "--as-of", as_of]
    for name, bar in (("first run", 240), ("second run, nothing new", 30)):
        began = datetime.now(UTC)
        found = measure(*command, environment=environment)
        yield name, "s", at_most(found.wall, bar)
        yield f"{name}, processor", "s", without_bar(found.processor)
        yield f"{name}, memory of the largest process", "GiB", without_bar(found.memory)
        for step, seconds in read_stages(Path(environment["HOLDFAST_HOME"]), since=began):
            yield f"{name}, {step}", "s", without_bar(seconds)


def read_stages(home: Path, *, since: datetime) -> Iterator[tuple[str, float]]:
    """Read from Dagster's history how long each stage of a command took, and each step that took a while."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        records = instance.get_run_records(dg.RunsFilter(created_after=since), ascending=True)
        for number, each in enumerate(records):
            # a night is one run, and two where the month's training comes between its halves
            half = "whole night" if len(records) == 1 else "act" if number else "refresh"
            stage = "train" if each.dagster_run.job_name == "retrain" else half
            yield stage, (each.end_time or 0) - (each.start_time or 0)
            for step in instance.get_run_step_stats(each.dagster_run.run_id):
                seconds = (step.end_time or 0) - (step.start_time or 0)
                if seconds >= SHORTEST_STEP:
                    yield f"{stage}, {step.step_key}", seconds


def measure_contributor(*, tests: bool, ci: bool) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Measure what a contributor waits for."""
    if tests:
        yield "make test", "s", at_most(measure("make", "test", environment=os.environ).wall, 480)
    if ci:
        yield ".ci/run", "s", at_most(measure(".ci/run", environment=os.environ).wall, 720)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure; only the demo's company replaces the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--company", type=Path, default=DEMO)
    parser.add_argument("--as-of", default=DEMO_DAY)
    parser.add_argument("--tests", action="store_true", help="also measure `make test`")
    parser.add_argument("--ci", action="store_true", help="also measure `.ci/run`")
    given = parser.parse_args(arguments)
    company = given.company.absolute()
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        home = Path(folder) / "home"
        environment = os.environ | {"HOLDFAST_HOME": str(home), "HOLDFAST_COMPANY": str(company)}
        rows = [
            *measure_runs(company, given.as_of, environment),
            *measure_start(environment, Path(folder)),
            *measure_contributor(tests=given.tests, ci=given.ci),
        ]
    size = f"{given.company.parent.name} as of {given.as_of}"
    figures = [
        Figure(f"pipeline: {name}", unit=unit, **judged, size=size, seed=0, command="make bench TOPIC=pipeline")
        for name, unit, judged in rows
    ]
    if company == DEMO:
        record("pipeline", figures, replaces=("pipeline: first run, ", "pipeline: second run, "))
        return
    for each in figures:
        print(f"{each.name:70} {each.value:10.2f} {each.unit:4} {each.bar or ''}", flush=True)


if __name__ == "__main__":
    main()
