"""Kept answers: shown under the rights that allowed them alone, bounded, and gone with their publication."""

import time
from pathlib import Path

import pandas as pd
import pytest
from published_shop import make_tables, write_snapshot

from serving.access import CUSTOMERS, Condition, Grant, Measure, Question, read_access
from serving.answer_cache import Answer, AnswerCache, Statement
from serving.snapshot import Snapshot

ACCESS = read_access()
GRANTS = [
    ACCESS.grant(role, owner=owner, region=region, taken_over=taken_over)
    for role in ACCESS.roles
    for owner, region, taken_over in [("ann", "north", ()), ("bob", "south", ()), ("bob", "south", ("secret-001",))]
]
COUNT = Question(relation=CUSTOMERS, measures=(Measure(function="count", name="customers"),))


@pytest.mark.parametrize("relation", ACCESS.relations.customer)
def test_everybody_is_answered_as_if_nobody_had_asked_the_same_before(relation: str, snapshot: Snapshot) -> None:
    question = Question(relation=relation)
    opened = snapshot._current()
    for grant in GRANTS:
        query, parameters = grant.compile(question, opened.types)
        cursor = opened.connection.cursor().execute(query, parameters)
        names = [column[0] for column in cursor.description]
        expected = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert snapshot.ask(grant, question) == expected, grant.role


def test_two_people_share_an_answer_only_where_they_have_the_same_rows_and_fields(snapshot: Snapshot) -> None:
    types = snapshot._current().types
    statements: dict[Statement, tuple[object, ...]] = {}
    for grant in GRANTS:
        fields = [(name, grant.sees(name)) for name in types["plans"] if grant.sees(name) != "hidden"]
        statement = Statement.of(*grant.compile(Question(relation="plans"), types))
        assert statements.setdefault(statement, (grant.confine("plans"), fields)) == (grant.confine("plans"), fields)
    assert len(set(map(str, statements.values()))) == len(statements) > len(ACCESS.roles) / 2


def test_an_answer_that_a_page_changes_is_asked_for_unchanged(snapshot: Snapshot) -> None:
    grant, question = ACCESS.grant("admin"), Question(relation=CUSTOMERS, limit=1)
    changed = snapshot.ask(grant, question)
    changed[0]["customer_id"] = "somebody else"
    assert snapshot.ask(grant, question)[0]["customer_id"] != "somebody else"


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ([1], [True]), ("1", 1), (None, [])])
def test_values_that_a_database_distinguishes_have_answers_of_their_own(one: object, other: object) -> None:
    statements = [Statement.of("select $v", {"v": value}) for value in (one, other)]
    assert statements[0] != statements[1]
    given = [each.parameters["v"] for each in statements]
    assert [(type(value), value) for value in given] == [(type(one), one), (type(other), other)]


def test_what_was_not_asked_for_longest_goes_first_and_large_answers_are_not_kept() -> None:
    cache = AnswerCache(most_cells=3 * (2 + 11))
    answers = [Answer(names=("a",), rows=((1,),) * 10, seconds=0.1 * number) for number in range(4)]
    statements = [Statement.of("select $v", {"v": number}) for number in range(4)]
    for statement, answer in zip(statements[:3], answers, strict=False):
        cache.keep(statement, answer)
    cache.find(statements[0])
    cache.keep(statements[3], answers[3])
    assert [cache.find(each) for each in statements] == [answers[0], None, answers[2], answers[3]]
    assert cache.list_costliest(2) == [statements[3], statements[2]]
    export = Answer(names=("a",), rows=((1,),) * 30_000, seconds=9)
    roomy = AnswerCache()
    roomy.keep(statements[0], export)
    assert roomy.find(statements[0]) is None


def wait_for(snapshot: Snapshot, grant: Grant, customers: int) -> None:
    deadline = time.monotonic() + 10
    while snapshot.ask(grant, COUNT) != [{"customers": customers}]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_publication_is_opened_aside_while_it_is_followed_and_answers_what_took_longest_at_once(
    tables: dict[str, pd.DataFrame], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, grant = tmp_path / "holdfast.duckdb", ACCESS.grant("admin")
    one = Question(relation=CUSTOMERS, where=(Condition(column="position", comparison="=", value=1),))
    write_snapshot(path, tables)
    snapshot = Snapshot(path=path)
    before = [snapshot.ask(grant, question) for question in (COUNT, one)]
    with snapshot.followed(every=0.01):
        path.write_bytes(b"no publication")
        time.sleep(0.1)
        assert [snapshot.ask(grant, question) for question in (COUNT, one)] == before
        path.unlink()
        write_snapshot(path, make_tables(count=9))
        wait_for(snapshot, grant, 9)
        opened = snapshot._current()
        asked = [Statement.of(*grant.compile(question, opened.types)) for question in (COUNT, one)]
        assert all(opened.answers.find(each) for each in asked)
    assert "holdfast.duckdb cannot be opened" in caplog.text
