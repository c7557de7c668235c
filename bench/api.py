"""What schemathesis finds when it asks every path of the API's document, with keys of every role.

Run `python -m bench.api` with the extra `fuzz` installed. An answer of 500 or more, or one that the document does not
name, is printed; the counts are written to bench/results/api.json.
"""

import argparse
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from bench.figures import Figure, at_most, machine, record, without_bar
from company.industries import load_industry
from company.policy import load_policy
from retention.deciding.strategy_files import load_strategies
from retention.store.store import Store
from serving.access import read_access
from serving.desk.app import create_app, read_templates
from serving.desk.visit import Desk, utc_now
from serving.sign_in.keys import ApiKey
from serving.snapshot import Snapshot

SEED = 20260101
COMMAND = "make bench TOPIC=api"
FAILED = 500


def main() -> None:
    """Ask, count, and record."""
    parser = argparse.ArgumentParser(prog="python -m bench.api")
    parser.add_argument("--examples", type=int, default=60, help="requests of each path and role")
    given_arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Store(f"sqlite:///{name}/operational.db") as store:
        counts = fuzz(open_desk(Path(name), store), examples=given_arguments.examples)
    asked, wrong = sum(counts.values()), sum(count for kind, count in counts.items() if kind != "documented")
    common = {"unit": "requests", "size": "forty customers", "seed": SEED, "command": COMMAND, "machine": machine()}
    figures = [
        Figure(name="answers that fail or are not documented", **at_most(wrong, 0), **common),
        Figure(name="requests of every path, with keys of every role", **without_bar(asked), **common),
    ]
    record("api", figures)


def open_desk(folder: Path, store: Store) -> Desk:
    """Return a desk over the forty customers of the tests, whose keys may ask as often as they like."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from published_shop import make_tables, write_snapshot

    write_snapshot(folder / "holdfast.duckdb", make_tables())
    store.migrate()
    store.alerts.record(make_tables()["alerts"].drop(columns="position"), at=datetime.now(UTC))
    industry = load_industry("retail")
    policy = load_policy(industry.policy, {"desk": {"api": {"requests_per_minute": 10**6}}})
    return Desk(
        snapshot=Snapshot(path=folder / "holdfast.duckdb"),
        store=store,
        access=read_access(),
        policy=policy,
        templates=read_templates(),
        now=utc_now,
        strategies=load_strategies(industry.path, policy=policy, currency="EUR"),
    )


def fuzz(desk: Desk, *, examples: int) -> "Counter[str]":
    """Return how many answers were documented, and how many of each wrong kind; a wrong one is printed."""
    import schemathesis

    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", create_app(desk), headers={"Host": "127.0.0.1"})
    counts: Counter[str] = Counter()
    for role in desk.access.roles:
        key = desk.keys.add(ApiKey(name=role, role=role, owner="ann"), by="bench", at=utc_now(), days=1)
        headers = {"Authorization": f"Bearer {key}", "Host": "127.0.0.1"}
        for each in schema.get_all_operations():
            ask_often(each.ok(), headers, counts, examples=examples)
    return counts


def ask_often(operation: Any, headers: dict[str, str], counts: "Counter[str]", *, examples: int) -> None:  # noqa: ANN401 - of schemathesis
    """Ask one path with whatever its document allows."""

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:  # noqa: ANN401 - of schemathesis
        answer = case.call(headers=headers)
        documented = {str(status) for status in operation.definition.raw["responses"]} | {"304"}
        is_right = answer.status_code < FAILED and str(answer.status_code) in documented
        counts["documented" if is_right else f"{operation.label}: {answer.status_code}"] += 1
        if not is_right:
            print(operation.label, answer.status_code, answer.text[:200])

    ask()


if __name__ == "__main__":
    main()
