"""The dbt project of a company: its manifest, calls of dbt, and the variables and environment that a call is given."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from company.company_file import Company
from company.contract import TABLES
from company.policy import Policy
from dbt_project.variables import declare_ground
from expectations.features import FeatureRange
from ingestion.identity.records import has_evidence
from ml.dataset import Feature, month_starts
from orchestration.lead_times import declare_lead_times, list_lead_times

BUILT, PASSED = "success", "pass"  # dbt's statuses of a model and of a test
BROKEN = {"error", "fail"}
PROJECT = Path(__file__).parent.parent / "dbt_project"


class DbtError(Exception):
    """dbt could not do what it was asked for; the message says what it reported."""


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """What became of one node of a call: its status in dbt's words, its message, failing rows, and seconds."""

    unique_id: str
    status: str
    message: str
    failures: int | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Dbt:
    """Calls dbt for one company in processes of its own, with artifacts and logs below `home`/dbt.

    DuckDB lets one process in at a time, so nobody keeps a connection to the warehouse across a call.
    """

    home: Path
    variables: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def target(self) -> Path:
        """The folder of dbt's artifacts."""
        return self.home / "dbt" / "target"

    @property
    def inputs(self) -> str:
        """Name, size and age of every file that dbt parses, and the company's variables, as one text."""
        return _read_inputs(self.variables)

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of the project's files and the company's variables as they are; parsed when those changed.

        Raises DbtError when the project cannot be parsed.
        """
        inputs = self.inputs
        if not self._is_parsed(inputs):
            self._parse()
            self._parsed_from.write_text(inputs)
        content: Mapping[str, Any] = json.loads(self._manifest_file.read_text())
        return content

    def call(self, *command: str) -> None:
        """Run a dbt command that stands for no day; raises DbtError when it fails."""
        self._expect_success(command[0], self.execute(command, run={}))

    def build(self, nodes: Sequence[str], *, run: Mapping[str, str]) -> list[NodeResult]:
        """Build models and run tests by their names, in dbt's order; return what became of each."""
        report = self.target / "run_results.json"
        report.unlink(missing_ok=True)
        # unit tests judge the models' code, not a night's data: `make test` runs them
        command = ["build", "--exclude-resource-type", "unit_test", "--indirect-selection", "empty"]
        # each node has its result, and dbt a log of everything: to format all that again, for printing, takes time
        command += ["--log-level", "none", "--select", *nodes]
        code = self._build(command, run=run, report=report)
        if not report.exists():
            raise DbtError(f"`dbt build` ended with code {code} and no results; see {self.home / 'dbt' / 'logs'}.")
        return [_read_result(each) for each in json.loads(report.read_text())["results"]]

    def write_docs(self) -> None:
        """Write the project's docs as one page into the instance, unless nothing changed since they were written."""
        page, inputs = self.home / "docs" / "index.html", self.inputs
        written_from = page.with_name("written_from.json")
        if _is_made_from(page, written_from, inputs):
            return
        page.parent.mkdir(parents=True, exist_ok=True)
        # nothing is compiled and no table is looked at: the warehouse may be in use
        self.call("docs", "generate", "--static", "--no-compile", "--empty-catalog")
        shutil.copyfile(self.target / "static_index.html", page)
        written_from.write_text(inputs)

    def execute(self, command: Sequence[str], *, run: Mapping[str, str], is_quiet: bool = True) -> int:
        """Run a dbt command and return its exit code; `run` is the part of its environment that a run decides."""
        dbt = [str(Path(sys.executable).with_name("dbt")), *self._arguments(command, is_quiet=is_quiet)]
        environment = {**self._environment(), **run}
        return subprocess.run(dbt, env=environment, check=False).returncode  # noqa: S603 - our own dbt

    @contextmanager
    def warm(self) -> Iterator["WarmDbt"]:
        """Yield the same project with calls that one process serves: from the first on, to the end of the block."""
        with ExitStack() as stack:
            yield WarmDbt(home=self.home, variables=self.variables, environment=self.environment, stack=stack)

    @property
    def _manifest_file(self) -> Path:
        return self.target / "manifest.json"

    @property
    def _parsed_from(self) -> Path:
        return self.target / "parsed_from.json"

    def _is_parsed(self, inputs: str) -> bool:
        return _is_made_from(self._manifest_file, self._parsed_from, inputs)

    def _parse(self) -> None:
        self.call("parse")

    def _build(self, command: Sequence[str], *, run: Mapping[str, str], report: Path) -> int:  # noqa: ARG002 - dbt writes there
        return self.execute(command, run=run)

    def _expect_success(self, command: str, code: int) -> None:
        if code:
            raise DbtError(f"`dbt {command}` ended with code {code}; what it reported is in {self.home / 'dbt'}/logs.")

    def _environment(self) -> dict[str, str]:
        return {**self.environment, "HOLDFAST_HOME": str(self.home)}

    def _arguments(self, command: Sequence[str], *, is_quiet: bool) -> list[str]:
        return [*(["--quiet"] if is_quiet else []), *command, *self._options()]

    def _options(self) -> list[str]:
        variables = ["--vars", json.dumps(self.variables)]  # the same in every call: with others dbt would parse anew
        folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        folders += ["--target-path", str(self.target), "--log-path", str(self.home / "dbt" / "logs")]
        return [*variables, *folders]


@dataclass(frozen=True, kw_only=True)
class WarmDbt(Dbt):
    """The project with a `worker` that parses it once and serves its calls, each in a fork of its own."""

    stack: ExitStack = field(repr=False, compare=False)

    @contextmanager
    def warm(self) -> Iterator["WarmDbt"]:
        """Yield this project: its process serves until the outermost block ends."""
        yield self

    @cached_property
    def worker(self) -> subprocess.Popen[str]:
        """The process that loads the project and answers when it has; `stack` ends it."""
        arguments = self._options()
        if self._is_parsed(self.inputs):
            arguments.append("--no-write-json")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        log = self.stack.enter_context(self._log.open("ab"))
        process = self.stack.enter_context(start_worker(arguments, environment=self._environment(), log=log))
        self.stack.callback(process.terminate)
        return process

    @cached_property
    def parsed(self) -> int:
        """The exit code of the parse that the worker began with."""
        return self._read_code()

    def execute(self, command: Sequence[str], *, run: Mapping[str, str], is_quiet: bool = True) -> int:
        """Have the worker run a dbt command and return its exit code; raises DbtError when the worker is gone."""
        return self._request(self._arguments(command, is_quiet=is_quiet), environment=run)

    def _request(self, arguments: Sequence[str], *, environment: Mapping[str, str], report: Path | None = None) -> int:
        request = {"arguments": arguments, "environment": dict(environment), "report": report and str(report)}
        _ = self.parsed  # the first line is the answer to no request
        try:
            print(json.dumps(request), file=self.worker.stdin, flush=True)
        except BrokenPipeError:
            raise self._gone() from None
        return self._read_code()

    def _build(self, command: Sequence[str], *, run: Mapping[str, str], report: Path) -> int:
        # the manifest is as the parse left it: to write it again would cost more than many a model
        arguments = [*self._arguments(command, is_quiet=True), "--no-write-json"]
        return self._request(arguments, environment=run, report=report)

    def _parse(self) -> None:
        self._expect_success("parse", self.parsed)

    def _read_code(self) -> int:
        replies = self.worker.stdout
        reply = replies.readline() if replies else ""
        if not reply:
            raise self._gone()
        return int(json.loads(reply)["code"])

    def _gone(self) -> DbtError:
        return DbtError(f"The process that runs dbt has ended; what it reported is in {self._log}.")

    @property
    def _log(self) -> Path:
        return self.home / "logs" / "run.log"


def start_worker(arguments: Sequence[str], *, environment: Mapping[str, str], log: BinaryIO) -> subprocess.Popen[str]:
    """Start the process that parses the project and serves calls; `arguments` are those of every call."""
    # -P: dbt imports every module of a path whose name begins with dbt_, and the working directory is the user's
    command = [sys.executable, "-P", "-m", "orchestration.dbt_worker", *arguments]
    return subprocess.Popen(  # noqa: S603 - our own module
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
    )


def name_nodes(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the selectors of models and tests of a manifest."""
    return [f"fqn:{'.'.join(node['fqn'])}" for node in nodes]


def _read_result(result: Mapping[str, Any]) -> NodeResult:
    return NodeResult(
        unique_id=result["unique_id"],
        status=str(result["status"]),
        message=str(result["message"] or ""),
        failures=result["failures"],
        seconds=float(result["execution_time"]),
    )


def _read_inputs(variables: Mapping[str, Any]) -> str:
    """Return name, size and age of every file that dbt parses, and the company's variables, as one text."""
    files = ((path, path.stat()) for path in sorted(PROJECT.rglob("*")) if path.suffix in {".sql", ".yml", ".yaml"})
    return json.dumps([[[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in files], variables])


def _is_made_from(made: Path, record: Path, inputs: str) -> bool:
    return made.exists() and record.exists() and record.read_text() == inputs


def read_run(company: Company, policy: Policy, *, as_of: date) -> dict[str, str]:
    """Return the environment that tells the models the day of a company's run and the snapshots it needs."""
    return write_run(as_of, list_snapshots(company, policy, as_of=as_of))


def write_run(as_of: date, snapshots: Iterable[date]) -> dict[str, str]:
    """Return the environment that tells the models the day of a run and which snapshots must exist after it."""
    return {"HOLDFAST_AS_OF": as_of.isoformat(), "HOLDFAST_SNAPSHOTS": " ".join(map(str, snapshots))}


def read_variables(company: Company, policy: Policy) -> dict[str, Any]:
    """Return what the models may know about a company: its feeds and the thresholds, nothing else."""
    return {
        "feeds": company.feeds(),
        "extra_columns": _declare_extra(company),
        "feeds_ended": {
            f"{company.raw_schema(feed.source)}.{table}": feed.ended_on.isoformat()
            for table, feeds in company.tables.items()
            for feed in feeds
            if feed.ended_on
        },
        "closed": [spell.model_dump(mode="json", by_alias=True) for spell in company.closed],
        "history_starts": company.history_starts.isoformat(),
        "timezone": company.timezone,
        "identity": has_evidence(company),
        "churn": company.churn.model_dump(mode="json"),
        "lead_times": list_lead_times(company.churn, policy),
        "churn_also": [churn.model_dump(mode="json") for churn in declare_lead_times(company, policy)],
        "company_cleaning": company.cleaning.model_dump(mode="json"),
        **declare_ground(policy, {name: company.contract_of(name) for name in TABLES}),
    }


def _declare_extra(company: Company) -> list[dict[str, Any]]:
    contract = company.contract_of("customers")
    return [
        {
            "name": name,
            "type": contract.column(name).type.value,
            "never_changes": each.never_changes,
            "survivorship": "earliest" if each.never_changes else "latest",
        }
        for name, each in company.extra_columns.items()
    ]


def list_snapshots(company: Company, policy: Policy, *, as_of: date) -> list[date]:
    """Return the days whose snapshots must exist: the training months up to `as_of`, and `as_of` itself."""
    first = company.history_starts + timedelta(days=company.churn.active_within_days)
    months = [day for day in month_starts(first, as_of) if day < as_of][-policy.training.snapshots :]
    return [*months, as_of]


def read_features(manifest: Mapping[str, Any]) -> tuple[Feature, ...]:
    """Return the declared features, in the order in which the dbt model declares its columns."""
    keys = ("family", "unit", "reason", "en", "zh")
    return tuple(Feature(name=name, **{key: meta[key] for key in keys}) for name, meta in _declared(manifest))


def list_extra_features(company: Company) -> tuple[Feature, ...]:
    """Return the company's own columns that are features, each with its name as the words."""
    fixed = {name: each for name, each in company.extra_columns.items() if each.never_changes}
    words = {name: name.partition("_")[2].replace("_", " ") for name in fixed}
    value = {name: "{value:g}" if each.type == "number" else "{value}" for name, each in fixed.items()}
    return tuple(
        Feature(name, "lifecycle", "", "other", f"{words[name]}: {value[name]}", f"{words[name]}: {value[name]}")
        for name in fixed
    )


def read_ranges(manifest: Mapping[str, Any], company: Company, *, null_share: float) -> tuple[FeatureRange, ...]:
    """Return what the features gate expects of every feature whose source tables the company connects."""
    connected = set(company.tables)
    return tuple(
        FeatureRange(
            name=name,
            low=meta.get("low"),
            high=meta.get("high"),
            # what has a value for customers without a row has one for everybody
            null_share=null_share if meta.get("empty") is None else 0.0,
        )
        for name, meta in _declared(manifest)
        if set(meta["needs"]) <= connected
    )


def read_own_ranges(company: Company) -> tuple[FeatureRange, ...]:
    """Return what the features gate expects of the company's own columns that are features."""
    own = {name: each for name, each in company.extra_columns.items() if each.never_changes}
    return tuple(
        FeatureRange(name=name, low=each.low, high=each.high, is_text=each.type == "text") for name, each in own.items()
    )


def _declared(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    columns = manifest["nodes"]["model.holdfast.customer_features"]["columns"].values()
    return ((column["name"], column["meta"]) for column in columns if "family" in column["meta"])
