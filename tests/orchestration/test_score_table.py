"""`holdfast score-table`, as a person calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from pyarrow import csv
from typer.testing import CliRunner

from orchestration.cli import app


def write(path: Path, *, separator: str = ";", last: str = "") -> Path:
    draw = np.random.default_rng(0)
    lines = [separator.join(("customerID", "gender", "tenure", "plan", "Churn"))]
    for row in range(400):
        tenure, plan = int(draw.integers(0, 72)), str(draw.choice(["basic", "plus"]))
        left = draw.random() < 1 / (1 + np.exp(0.08 * tenure - 1.5 * (plan == "basic")))
        values = (f"{row:05}-X", ("f", "m")[row % 2], str(tenure), plan, "Yes" if left else "No")
        lines.append(separator.join(values))
    path.write_text("\n".join(lines) + "\n" + last, encoding="utf-8")
    return path


def call(file: Path, home: Path, *more: str) -> tuple[int, str]:
    return holdfast("score-table", str(file), "--id", "customerID", "--label", "Churn", "--home", str(home), *more)


def holdfast(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return done.exit_code, done.output


def declare(folder: Path, **snapshot: str) -> Path:
    table = {"file": "churn.csv", "id": "customerID", "label": "Churn", "paid": "tenure", **snapshot}
    company = {"company": "Nordlicht", "industry": "telecom", "timezone": "UTC", "currency": "EUR", "snapshot": table}
    policy = {"training": {"candidates": ["logistic_regression"]}}
    (folder / "company.yaml").write_text(yaml.safe_dump({**company, "policy": policy}))
    return folder / "company.yaml"


def test_one_command_turns_a_flat_table_into_scores_reasons_a_plan_a_card_and_a_version(tmp_path: Path) -> None:
    file, policy = write(tmp_path / "churn.csv"), tmp_path / "policy.yaml"
    policy.write_text("training: {candidates: [logistic_regression]}\n")

    code, output = call(file, tmp_path / "home", "--paid", "tenure", "--per", "month", "--policy", str(policy))

    assert code == 0, output
    assert "Version 1 of `table churn`: first champion" in output
    folder = tmp_path / "home" / "tables" / "churn"
    scores, reasons = (csv.read_csv(folder / name) for name in ("scores.csv", "reasons.csv"))
    assert (scores.num_rows, scores["customer_id"].null_count) == (400, 0)
    assert {"00000-X", "00399-X"} <= set(scores["customer_id"].to_pylist())
    plan = csv.read_csv(folder / "plan.csv").to_pandas()
    assert plan["rank"].tolist() == list(range(1, 401))
    assert (plan["decision_reason"] == "has_left").sum() == sum(scores["churned"].to_pylist())
    treated = plan[plan["decision"] == "treat"]
    assert treated["expected_profit"].tolist() == sorted(treated["expected_profit"], reverse=True)
    assert treated["expected_profit"].min() > 0
    assert f"Plan: {len(treated)} phone contacts at 4 each" in output
    assert set(reasons["feature"].to_pylist()) == {"tenure", "plan"}  # gender is protected
    assert "plan is basic: " in "".join(reasons["fact"].to_pylist())
    card = (folder / "card.html").read_text(encoding="utf-8")
    assert "400 rows, each predicted by a model of other rows." in card
    assert "Not known: no customer has a value yet." in card


def test_a_company_file_with_a_flat_table_runs_by_the_same_command_as_any_other(tmp_path: Path) -> None:
    write(tmp_path / "churn.csv")
    company, home, report = declare(tmp_path), tmp_path / "home", tmp_path / "report.json"

    code, output = holdfast(
        "run", "--company", str(company), "--home", str(home), "--as-of", "2026-01-01", "--report", str(report)
    )

    assert code == 0, output
    assert "Version 1 of `table churn`: first champion" in output
    figures = json.loads(report.read_text())
    assert (figures["as_of"], figures["training"]["chosen"]) == ("2026-01-01", "logistic_regression")  # by the policy
    assert sum(figures["decisions"].values()) == 400
    assert [Path(file).name for file in figures["files"] if not Path(file).exists()] == []
    assert "expected profit" in output


@pytest.mark.parametrize(
    ("snapshot", "more", "code", "message"),
    [
        ({}, (), 0, "The table can be scored"),
        ({"paid": "plan"}, (), 2, "column 'plan' holds string"),
        ({"label": "customerID"}, (), 2, "label 'customerID' holds '00000-x'"),
        ({"file": "gone.csv"}, (), 2, "gone.csv: there is no such file"),
        ({}, ("--as-of", "2222-01-01"), 2, "--as-of 2222-01-01 lies in the future"),
        ({}, ("--as-of", "2026-01-01", "--send"), 2, "nothing is sent"),
    ],
)
def test_check_and_run_refuse_a_flat_table_alike_and_nothing_is_made(
    tmp_path: Path, snapshot: dict[str, str], more: tuple[str, ...], code: int, message: str
) -> None:
    write(tmp_path / "churn.csv")
    company, home = declare(tmp_path, **snapshot), tmp_path / "home"
    run = ("run", "--company", str(company), "--home", str(home))
    calls = [run + more] if more else [("check", str(company)), *[(*run, "--as-of", "2026-01-01")] * bool(code)]

    answers = [CliRunner().invoke(app, list(each)) for each in calls]

    assert [(each.exit_code, message in each.output, home.exists()) for each in answers] == [
        (code, True, False) for _ in answers
    ]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("00400-X;f;3\n", "1 lines are no records, the first is line 402"),
        ("00399-X;f;3;plus;No\n", "names 1 customers more than once, such as '00399-X' in 2 rows"),
    ],
)
def test_a_file_that_would_lose_or_double_a_customer_is_refused_and_nothing_is_made(
    tmp_path: Path, last: str, message: str
) -> None:
    code, output = call(write(tmp_path / "churn.csv", last=last), tmp_path / "home")

    assert (code, message in output, (tmp_path / "home").exists()) == (2, True, False), output


def test_a_column_of_no_numbers_is_not_what_customers_pay(tmp_path: Path) -> None:
    code, output = call(write(tmp_path / "churn.csv"), tmp_path / "home", "--paid", "plan")

    assert (code, "column 'plan' holds string" in output, (tmp_path / "home").exists()) == (2, True, False), output


def test_a_policy_of_ones_own_is_refused_by_its_key_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("budget: {amuont: 2000}\n")

    code, output = call(write(tmp_path / "churn.csv"), tmp_path / "home", "--policy", str(tmp_path / "policy.yaml"))

    assert (code, "'budget.amuont'" in output, (tmp_path / "home").exists()) == (2, True, False), output


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, output = call(tmp_path / "nothing.csv", tmp_path / "home")

    assert (code, "there is no such file. Correct the path." in output) == (2, True), output
