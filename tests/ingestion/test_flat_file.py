"""The file of a flat table: read as it is written, and asked about where nobody could tell."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from company.company_file import Writing
from ingestion.flat_file import FlatFileError, read_flat_file

GERMAN = (
    "Kunde;Straße;Beitrag;Umsatz;Beginn;weg\n"
    "1;Süd;12,50;1.234,50;31.12.2021;ja\n"
    "2;Möhringen;7;980;01.02.2022;nein\n"
    "3;-;9,90;;15.03.2022;nein\n"
)


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_table_is_read_as_its_writing_declares(tmp_path: Path) -> None:
    writing = Writing(encoding="latin-1", decimal=",", date_format="%d.%m.%Y", null_words=("nein",))

    table = read_flat_file(write(tmp_path, GERMAN, "latin-1"), writing)

    assert table.drop_columns(["Beginn"]).to_pydict() == {
        "Kunde": ["1", "2", "3"],
        "Straße": ["Süd", "Möhringen", None],
        "Beitrag": ["12.50", "7", "9.90"],
        "Umsatz": ["1234.50", "980", None],
        "weg": ["ja", None, None],
    }
    assert [f"{day:%Y-%m-%d}" for day in table["Beginn"].to_pylist()] == ["2021-12-31", "2022-02-01", "2022-03-15"]


@pytest.mark.parametrize("value", ["12,50", "1,234", "1.234,50", "1,234.5"])
def test_commas_in_numbers_are_asked_about_and_never_guessed(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"id;paid\n1;{value}\n2;7\n")

    with pytest.raises(
        FlatFileError, match=r"`paid` hold commas.* Declare `decimal: \",\"` or .*`--decimal`"
    ) as refusal:
        read_flat_file(path, Writing())

    assert "\n" not in str(refusal.value)
    assert read_flat_file(path, Writing(decimal=".", thousands=" "))["paid"].to_pylist() == [value, "7"]


def test_text_that_holds_commas_among_words_is_text(tmp_path: Path) -> None:
    assert read_flat_file(write(tmp_path, "id;note\n1;1,5\n2;tea, milk\n"), Writing())["note"].to_pylist() == [
        "1,5",
        "tea, milk",
    ]


def test_parquet_is_read_with_its_types_and_words_for_nothing_are_null(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": [1, 2], "plan": [" plus ", "N/A"]}), tmp_path / "table.parquet")

    table = read_flat_file(tmp_path / "table.parquet", Writing())

    assert table.to_pydict() == {"id": [1, 2], "plan": ["plus", None]}


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("", "utf-8", "the file is empty"),
        ("id;id\n1;2\n", "utf-8", "the column `id` stands there twice"),
        ("id;Straße\n1;x\n2;y\n", "latin-1", r"encoding: cp1252.* The feed is the key `snapshot`"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_paragraph_with_the_fix(
    tmp_path: Path, text: str, encoding: str, message: str
) -> None:
    with pytest.raises(FlatFileError, match=message):
        read_flat_file(write(tmp_path, text, encoding), Writing())
