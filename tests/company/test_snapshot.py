"""A company file with one flat table: what it may hold, and which commands read it."""

from pathlib import Path

import pytest

from company.file_faults import CompanyError
from company.snapshot import Snapshot, read_snapshot_company
from ingestion.readers import load_company

COMPANY = """\
company: Nordlicht Mobil
industry: telecom
timezone: Europe/Berlin
currency: EUR
snapshot:
  file: data/churn.csv
  id: Kundennummer
  label: gekuendigt
  decimal: ","
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "company.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_flat_table_is_declared_in_place_of_sources_and_lies_next_to_its_file(tmp_path: Path) -> None:
    company = read_snapshot_company(write(tmp_path, COMPANY + "policy: {budget: {amount: 700}}\n"))

    assert company is not None
    declared = {"id": "Kundennummer", "label": "gekuendigt", "decimal": ","}
    assert company.snapshot == Snapshot.model_validate({"file": tmp_path / "data" / "churn.csv", **declared})
    assert company.load_policy().budget.amount == 700


def test_a_company_without_snapshot_is_none_of_these(tmp_path: Path) -> None:
    assert read_snapshot_company(write(tmp_path, "company: Corner Shop\n")) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("snapshot:", "tables: {}\nsnapshot:", "line 5, tables: a company with `snapshot` has one flat table"),
        ("snapshot:", "history_starts: 2024-01-01\nsnapshot:", "line 5, history_starts: a company with `snapshot`"),
        (
            "telecom",
            "telecoms",
            "line 2, industry: `telecoms` is no industry that Holdfast knows. Did you mean `telecom`?",
        ),
        ("label:", "lable:", "line 8, snapshot.lable: `lable` is an unknown key. Did you mean `label`?"),
        ("currency: EUR", "currency: euro", "line 4, currency: the value 'euro' does not fit"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_the_fix(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, COMPANY.replace(old, new, 1))

    with pytest.raises(CompanyError) as refusal:
        read_snapshot_company(path)

    assert f"{path}, {message}" in str(refusal.value)


def test_a_command_that_needs_a_history_says_which_ones_do_without(tmp_path: Path) -> None:
    with pytest.raises(
        CompanyError, match=r"line 5, snapshot: .* `holdfast check` and `holdfast run` read such a file"
    ):
        load_company(write(tmp_path, COMPANY))
