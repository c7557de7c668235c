"""How the dbt project becomes Dagster assets: the manifest, the names, and the variables of a run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject

from company.company_file import Company
from company.policy import Policy
from expectations.features import FeatureRange
from ingestion.identity.records import has_evidence
from ml.dataset import Feature
from orchestration.leads import declare_leads

PROJECT = Path(__file__).parent.parent / "dbt_project"
OWNER = "team:data"
WAREHOUSE_POLICY = {"rfm", "clv", "lifecycle", "value_tiers", "tags", "value_trend", "product_rules", "coverage"}


def prepare(home: Path, variables: Mapping[str, Any]) -> DbtProject:
    """Return the dbt project with a manifest that was parsed from the files and for the company as they are."""
    project = DbtProject(PROJECT, target_path=home / "dbt" / "target", profiles_dir=PROJECT)
    parsed_from, seen = project.manifest_path.with_name("parsed_from.json"), _read_inputs(variables)
    if not _is_made_from(project.manifest_path, parsed_from, seen):
        _call_dbt(home, variables, "parse")
        parsed_from.write_text(seen)
    return project


def _call_dbt(home: Path, variables: Mapping[str, Any], *command: str) -> None:
    folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    folders += ["--target-path", str(home / "dbt" / "target"), "--log-path", str(home / "dbt" / "logs")]
    dbt = str(Path(sys.executable).with_name("dbt"))
    given = ["--vars", json.dumps(variables)]  # the same in every call: with others dbt would parse all anew
    subprocess.run([dbt, "--quiet", *command, *given, *folders], check=True)  # noqa: S603 - our own dbt, fixed arguments


def write_docs(home: Path, variables: Mapping[str, Any]) -> None:
    """Write dbt's docs of the project as one page into the instance, unless nothing changed since they were written."""
    page, seen = home / "docs" / "index.html", _read_inputs(variables)
    written_from = page.with_name("written_from.json")
    if _is_made_from(page, written_from, seen):
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    # nothing is compiled and no table is looked at: the warehouse may be in use
    _call_dbt(home, variables, "docs", "generate", "--static", "--no-compile", "--empty-catalog")
    shutil.copyfile(home / "dbt" / "target" / "static_index.html", page)
    written_from.write_text(seen)


def _read_inputs(variables: Mapping[str, Any]) -> str:
    """Return name, size and age of every file that dbt parses, and the company's variables, as one text."""
    found = ((path, path.stat()) for path in sorted(PROJECT.rglob("*")) if path.suffix in {".sql", ".yml", ".yaml"})
    return json.dumps([[[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found], variables])


def _is_made_from(made: Path, mark: Path, seen: str) -> bool:
    return made.exists() and mark.exists() and mark.read_text() == seen


class Translator(DagsterDbtTranslator):
    """Names dbt models by their warehouse address and ties staging to the raw tables that a company connects."""

    def __init__(self, company: Company, partitions: dg.PartitionsDefinition, *, docs: str) -> None:
        """Hold the company whose feeds fill staging, the partitions of every model, and where dbt's docs are read."""
        super().__init__()
        self.company = company
        self.partitions = partitions
        self.docs = docs

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the spec of one dbt node: owned, grouped by schema, partitioned by day, behind the gate before it."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] != "model":
            return spec
        schema = spec.key.path[0]
        return spec.replace_attributes(
            deps=[*spec.deps, *self._extra_deps(node["name"], schema)],
            group_name=schema,
            owners=[OWNER],
            partitions_def=self.partitions,
            metadata={**spec.metadata, "dbt_docs": dg.MetadataValue.url(f"{self.docs}#!/model/{unique_id}")},
            kinds={"dbt", "duckdb", "table" if node["config"]["materialized"] != "view" else "view"},
        )

    def _extra_deps(self, model: str, schema: str) -> list[dg.AssetDep]:
        if schema == "staging":
            feeds = self.company.feeds()
            tables = [model.removeprefix("stg_")] if model.startswith("stg_") else list(feeds)
            raw = [dg.AssetDep([raw, table]) for table in tables for raw in feeds.get(table, [])]
            return [*raw, dg.AssetDep(["identity", "members"])] if has_evidence(self.company) else raw
        # the line: features wait for the verdict on the view before them
        return [dg.AssetDep(["customer_360", "customers"])] if schema == "features" else []


def build(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, *, variables: Mapping[str, Any], home: Path
) -> Iterator[Any]:
    """Run `dbt build` for the selected models of one stage and yield its events."""
    # unit tests judge the models' code, not a night's data: `make test` runs them
    arguments = ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(variables)]
    arguments += ["--log-path", str(home / "dbt" / "logs")]
    yield from dbt.cli(arguments, context=context, target_path=home / "dbt" / "target").stream()


def read_run(company: Company, policy: Policy, *, as_of: date) -> dict[str, str]:
    """Return the environment that tells the models the day of a company's run and the slices it needs."""
    return write_run(as_of, list_snapshots(company, policy, as_of=as_of))


def write_run(as_of: date, snapshots: Iterable[date]) -> dict[str, str]:
    """Return the environment that tells the models on which day a run stands and which slices must exist after it."""
    return {"HOLDFAST_AS_OF": as_of.isoformat(), "HOLDFAST_SNAPSHOTS": " ".join(map(str, snapshots))}


def read_variables(company: Company, policy: Policy) -> dict[str, Any]:
    """Return what the models may know about a company: its feeds and the thresholds, nothing else."""
    return {
        "feeds": company.feeds(),
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
        "churn_also": [churn.model_dump(mode="json") for churn in declare_leads(company, policy)],
        "company_cleaning": company.cleaning.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json", include=WAREHOUSE_POLICY),
    }


def list_snapshots(company: Company, policy: Policy, *, as_of: date) -> list[date]:
    """Return the days whose feature slices must exist: the training months up to `as_of`, and `as_of` itself."""
    first = company.history_starts + timedelta(days=company.churn.active_within_days)
    months = [day for day in _month_starts(first, as_of) if first <= day < as_of][-policy.training.snapshots :]
    return [*months, as_of]


def _month_starts(first: date, last: date) -> Iterator[date]:
    count = (last.year - first.year) * 12 + last.month - first.month
    for step in range(count + 1):
        years, month = divmod(first.month - 1 + step, 12)
        yield date(first.year + years, month + 1, 1)


def read_features(manifest: Path) -> tuple[Feature, ...]:
    """Return the declared features, in the order in which the dbt model declares its columns."""
    keys = ("family", "unit", "reason", "en", "zh")
    return tuple(Feature(name=name, **{key: meta[key] for key in keys}) for name, meta in _declared(manifest))


def read_ranges(manifest: Path, company: Company, *, null_share: float) -> tuple[FeatureRange, ...]:
    """Return what the features gate expects of every feature whose source tables the company connects."""
    connected = set(company.tables)
    return tuple(
        FeatureRange(name=name, low=meta["low"], high=meta["high"], null_share=_null_share(meta, null_share))
        for name, meta in _declared(manifest)
        if set(meta["needs"]) <= connected
    )


def _null_share(meta: Mapping[str, Any], most: float) -> float:
    """Return how many nulls a feature may have: what it declares, or whatever the policy allows any feature."""
    declared = meta.get("nulls")
    return most if declared is None else float(declared)


def _declared(manifest: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    columns = json.loads(manifest.read_text())["nodes"]["model.holdfast.customer_features"]["columns"].values()
    return ((column["name"], column["meta"]) for column in columns if "family" in column["meta"])
