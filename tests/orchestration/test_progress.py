"""The console of a run: a line per stage with its counts, and in full what failed."""

from io import StringIO
from uuid import uuid4

import dagster as dg
import pytest
from rich.console import Console

from orchestration.progress import Progress, follow, list_stages


@dg.asset(key=["raw", "orders"], group_name="sources")
def orders() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 1200})


@dg.asset(key=["raw", "customers"], group_name="sources")
def customers() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 34})


@dg.asset(key=["scores", "scores"], deps=[["raw", "orders"], ["raw", "customers"]], group_name="scores")
def scores() -> None: ...


@dg.asset_check(asset=["raw", "orders"])
def orders_gate() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=["scores", "scores"])
def drift_within_bounds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="PSI 0.31 is above 0.2")


def watch(*, is_verbose: bool) -> list[str]:
    definitions = dg.Definitions(
        assets=[orders, customers, scores],
        asset_checks=[orders_gate, drift_within_bounds],
        jobs=[dg.define_asset_job("all")],
        executor=dg.in_process_executor,
    )
    stages = list_stages(definitions, [dg.AssetKey(["raw", name]) for name in ("orders", "customers")])
    stages |= list_stages(definitions, [dg.AssetKey(["scores", "scores"])])
    screen, run_id = StringIO(), str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        progress = Progress(stages, Console(file=screen, width=120), is_verbose=is_verbose)
        with follow(instance, run_id, progress):
            definitions.resolve_job_def("all").execute_in_process(instance=instance, run_id=run_id)
    return [" ".join(line.split()) for line in screen.getvalue().splitlines()]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return watch(is_verbose=False)


def test_a_stage_is_one_line_with_its_counts_when_its_last_step_has_ended(lines: list[str]) -> None:
    (sources,) = (line for line in lines if line.startswith("sources"))
    assert sources.startswith("sources 2 assets 1,234 rows 1 checks passed")
    assert len([line for line in lines if line.startswith("scores")]) == 1


def test_a_warning_is_shown_with_its_reason(lines: list[str]) -> None:
    assert "WARN drift_within_bounds on scores/scores: PSI 0.31 is above 0.2" in lines


def test_verbose_shows_every_asset_and_check() -> None:
    said = watch(is_verbose=True)
    assert {"made raw/orders 1,200 rows", "made scores/scores", "pass orders_gate on raw/orders"} <= set(said)
