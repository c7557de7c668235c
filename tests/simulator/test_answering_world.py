"""A world that answers: contact changes what happens to whom it reached, and nothing for anybody else."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from simulator import hazard
from simulator.calendar import Calendar
from simulator.contacts import ContactsError
from simulator.parameters import load_parameters
from simulator.response import relieve
from simulator.story import START, simulate
from simulator.world import create_world

CUSTOMERS, MONTHS = 1000, 3
FIELDS = {"channel": "email", "offers": [{"kind": "gift", "amount": 20}]}


def _live(folder: Path, contacts: Path | None, reduction: float | None) -> str:
    simulate(load_parameters("telecom"), folder, customers=CUSTOMERS, months=MONTHS, seed=3, contacts=contacts,
             reduction=reduction)  # fmt: skip
    return str(folder)


def _write_contacts(path: Path, customers: list[str]) -> Path:
    """Write a message to every customer on the first of each month."""
    lines = [
        json.dumps({"customer_id": name, "arrived_at": f"2025-{month + 1:02}-01T02:00:00+00:00", **FIELDS})
        for month in range(MONTHS)
        for name in customers
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the folders of a life without contact, and of lives in which half were helped, hurt or neither."""
    folder = tmp_path_factory.mktemp("lives")
    untouched = _live(folder / "untouched", None, None)
    names = duckdb.sql(f"select customer_id from '{untouched}/truth/customers.parquet' order by 1").fetchall()
    contacts = _write_contacts(folder / "contacts.jsonl", [name for (name,) in names[::2]])
    return {
        "untouched": untouched,
        "helped": _live(folder / "helped", contacts, 0.2),
        "hurt": _live(folder / "hurt", contacts, -0.56),
        "unmoved": _live(folder / "unmoved", contacts, 0.0),
        "contacts": str(contacts),
    }


def _left(lives: dict[str, str], life: str, *, contacted: bool) -> int:
    """Return how many of the contacted, or of the others, left."""
    (count,) = duckdb.execute(
        f"""
        select count(left_on) from '{lives[life]}/truth/customers.parquet'
        where (customer_id in (select customer_id from read_json('{lives["contacts"]}'))) = $contacted
        """,
        {"contacted": contacted},
    ).fetchone() or (0,)
    return int(count)


def test_the_contacted_leave_less_where_actions_help_and_more_where_they_hurt(lives: dict[str, str]) -> None:
    counts = [_left(lives, life, contacted=True) for life in ("helped", "untouched", "hurt")]
    assert counts[0] < counts[1] < counts[2]


def test_the_fate_of_those_who_were_not_contacted_is_the_same_row_for_row(lives: dict[str, str]) -> None:
    for table in ("hazard", "response", "customers"):
        query = """
            select count(*) from (select * from '{}/truth/{}.parquet' except all select * from '{}/truth/{}.parquet')
            where customer_id not in (select customer_id from read_json('{}'))
        """
        for life in ("helped", "hurt"):
            for pair in ((lives[life], lives["untouched"]), (lives["untouched"], lives[life])):
                found = duckdb.sql(query.format(pair[0], table, pair[1], table, lives["contacts"])).fetchone()
                assert found == (0,), (table, life)


def test_where_nothing_works_everybody_leaves_as_they_would_have(lives: dict[str, str]) -> None:
    counts = [_left(lives, life, contacted=True) for life in ("unmoved", "untouched")]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("table", ["truth/hazard", "sources/database/crm.account", "sources/database/crm.consent_log"])
def test_a_world_simulated_further_is_the_same_world_month_for_month(continued: list[Path], table: str) -> None:
    rows = [duckdb.read_parquet(str(folder / f"{table}.parquet")) for folder in continued]
    assert len(rows[0]) < len(rows[1])
    assert rows[0].except_(rows[1]).fetchall() == []


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the folders of one world after two months and after three, of the four that it will last."""
    folders = [tmp_path_factory.mktemp(f"months-{months}") for months in (2, 3)]
    for months, folder in zip((2, 3), folders, strict=True):
        simulate(load_parameters("telecom"), folder, customers=100, months=months, seed=3, span=4)
    return folders


def test_what_was_relieved_stays_relieved_until_the_pain_would_have_faded() -> None:
    parameters = load_parameters("telecom")
    world = create_world(
        parameters, Calendar(start=START, count=2, timezone=parameters.timezone), customers=300, seed=1
    )
    state = hazard.burn_in(world)
    pain = hazard.contributions(world, state)
    risk = hazard.assess(world, state, month=0, intercept=0.0)
    taken = np.minimum(relieve(world, risk, "call"), pain)
    state.eased = hazard.remember_relief(world, state, taken)
    left = hazard.contributions(world, state)
    assert (pain - left) == pytest.approx(taken * hazard.list_lasting(world)[:, None], abs=1e-5)
    state.eased = hazard.remember_relief(world, state, np.zeros_like(taken))
    assert (hazard.contributions(world, state) - left)[taken > 0.01].min() > 0


def test_a_contact_of_another_world_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "contacts.jsonl"
    path.write_text(json.dumps({"customer_id": "X1", "arrived_at": "2025-01-01T00:00:00+00:00", **FIELDS}))
    with pytest.raises(ContactsError, match=r"line 1: this world has no customer 'X1'"):
        _live(tmp_path / "world", path, None)
    path.write_text("{}")
    with pytest.raises(ContactsError, match=r"line 1: this is no contact"):
        _live(tmp_path / "other", path, None)
