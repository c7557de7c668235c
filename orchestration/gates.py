"""Gates between the stages: a verdict is recorded, blocks its run, and blocks later runs until it is fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa

from expectations.gate import Suite, Verdict, describe, run_gate
from orchestration.control.gate_overrides import GateOverrides
from orchestration.warehouse import Warehouse
from retention.store.store import Store

VERDICTS = "monitoring.gate_verdicts"
REMEDY, PAGE = "how_to_go_on", "data_docs"  # metadata of a check that closed


class GateClosedError(dg.Failure):
    """A stage was asked to run behind a gate whose last verdict was no."""


@dataclass(frozen=True)
class Judgement:
    """A verdict that knows how to appear in Dagster."""

    verdict: Verdict
    as_of: date
    is_overridden: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the pipeline goes on behind the gate: it passed, or a person let it."""
        return self.verdict.passed or self.is_overridden

    def result_for(self, key: Sequence[str], *, tables: Sequence[str], check: str) -> dg.AssetCheckResult:
        """Return the check result of one asset: whatever was expected of its `tables`."""
        findings = [finding for finding in self.verdict.findings if finding.table in tables]
        sentences = describe([finding for finding in findings if not finding.is_warning])
        warned = describe([finding for finding in findings if finding.is_warning])
        return dg.AssetCheckResult(
            asset_key=dg.AssetKey(list(key)),
            check_name=check,
            passed=not sentences,
            severity=dg.AssetCheckSeverity.WARN if self.is_overridden else dg.AssetCheckSeverity.ERROR,
            description=" ".join(sentences or warned) or None,
            metadata={
                "expectations": len(findings),
                "failed": _list(sentences),
                "warned": _list(warned),
                PAGE: dg.MetadataValue.url(self.verdict.docs_page.as_uri()),
                **({REMEDY: how_to_go_on(self.verdict.seam, self.as_of)} if sentences else {}),
            },
        )


def _list(sentences: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences) or "none")


def judge(
    warehouse: Warehouse, store: Store, seam: str, suites: Sequence[Suite], *, as_of: date, docs: Path
) -> Judgement:
    """Run a seam's suites inside the warehouse and record the verdict; one that a person overrode only warns."""
    warehouse.release()  # the gate opens it for reading only
    verdict = run_gate(suites, database=warehouse.engine.database, docs=docs)
    warehouse.append({VERDICTS: _as_row(verdict, seam, as_of=as_of)})
    return Judgement(verdict, as_of, is_overridden=GateOverrides(store).find(seam, as_of) is not None)


def require_passed(warehouse: Warehouse, store: Store, seam: str, *, as_of: date) -> None:
    """Raise GateClosedError when the last verdict of `seam` for `as_of` was no and nobody has overridden it by name."""
    closed_by = find_fault(warehouse, seam, as_of=as_of)
    if closed_by is not None and GateOverrides(store).find(seam, as_of) is None:
        raise GateClosedError(f"The {seam} gate is closed for {as_of}: {closed_by} {how_to_go_on(seam, as_of)}")


def find_fault(warehouse: Warehouse, seam: str, *, as_of: date) -> str | None:
    """Return what the last verdict of `seam` for `as_of` found, None when it passed or was never asked."""
    if not warehouse.has_table(VERDICTS):
        return None
    query = (
        f"select passed, failed from {VERDICTS} where seam = $seam and as_of = $as_of order by judged_at desc limit 1"
    )
    rows = warehouse.read(query, {"seam": seam, "as_of": as_of}).to_pylist()
    return None if not rows or rows[0]["passed"] else str(rows[0]["failed"])


def how_to_go_on(seam: str, as_of: date) -> str:
    """Return the sentence that says what a person can do about a closed gate."""
    return (
        "Fix the data and run the day again, or let it pass by name: "
        f'`holdfast override {seam} --as-of {as_of} --by "NAME" --reason "WHY"`.'
    )


def _as_row(verdict: Verdict, seam: str, *, as_of: date) -> pa.Table:
    failed = " ".join([*describe(verdict.failures), f"{verdict.docs_page.as_uri()} shows all findings."])
    row = {"seam": seam, "as_of": as_of, "passed": verdict.passed, "failed": "" if verdict.passed else failed}
    return pa.Table.from_pylist([{**row, "judged_at": datetime.now(UTC).replace(tzinfo=None)}])
