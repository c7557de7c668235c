"""dbt in a process that stays warm serves call after call, each with an environment of its own."""

from pathlib import Path

import pytest

from orchestration.dbt import Dbt, DbtError, WarmDbt


def test_a_run_that_asks_nothing_of_dbt_starts_no_process(tmp_path: Path) -> None:
    with Dbt(home=tmp_path, variables={}, environment={}).warm() as idle:
        pass
    assert "worker" not in vars(idle)


def test_the_process_that_serves_has_parsed_the_project_for_whoever_asks_for_its_manifest(dbt: WarmDbt) -> None:
    assert "model.holdfast.customer_features" in dbt.manifest["nodes"]
    with dbt.warm() as within:
        assert (within, within.worker.pid, within.parsed) == (dbt, dbt.worker.pid, 0)
    assert dbt.worker.poll() is None


def compile_day(dbt: WarmDbt, day: str) -> str:
    """Compile a query of the day that a call stands for, and read what dbt made of it."""
    query = ["compile", "--no-introspect", "--inline", "select {{ as_of() }}"]
    assert dbt.execute(query, run={"HOLDFAST_AS_OF": day}) == 0
    (compiled,) = (dbt.target / "compiled").rglob("inline_query*")
    return compiled.read_text()


def test_each_call_has_an_environment_of_its_own(dbt: WarmDbt) -> None:
    assert [compile_day(dbt, day) for day in ("2026-01-01", "2026-02-01")] == [
        "select cast('2026-01-01' as date)",
        "select cast('2026-02-01' as date)",
    ]


def test_a_call_that_fails_says_so_and_the_next_one_is_served(dbt: WarmDbt) -> None:
    codes = [dbt.execute(command, run={}) for command in (["no-such-command"], ["ls", "--select", "stg_orders"])]
    assert codes == [2, 0]


def test_a_worker_that_is_gone_is_named(tmp_path: Path) -> None:
    with Dbt(home=tmp_path, variables={}, environment={}).warm() as dbt:
        dbt.worker.kill()
        dbt.worker.wait()
        with pytest.raises(DbtError, match="The process that runs dbt has ended"):
            dbt.execute(["ls"], run={})
