"""A few months of the bench's world: its season is no drift, its price shock is."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "drift.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_drift", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_drift"] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_months_of_another_season_are_stable_and_a_price_shock_is_noticed_at_the_first_check(bench: ModuleType) -> None:
    last = bench.LEARNED - 1
    tables = [bench.draw_month(7, number, shocked=False) for number in range(bench.SHOCK)]
    tables.append(bench.draw_month(7, bench.SHOCK, shocked=True))
    champion = bench.train(tables[: bench.LEARNED])

    stable = [bench.check_drift(champion, tables, last=last, now=now) for now in range(last + 2, bench.SHOCK)]
    shocked = bench.check_drift(champion, tables, last=last, now=bench.SHOCK)

    assert [each.state for each in stable] == ["stable"] * len(stable)
    assert max(each.psi for month in stable for each in month.features) > bench.POLICY.drift.psi  # the season is there
    assert shocked.state == "drifted"
