"""Tables of the desk as CSV files; each export stands in the audit log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi.responses import StreamingResponse

from serving.access import Question
from serving.desk.visit import Visit
from serving.export import write_csv, write_rows


def send_rows(
    visit: Visit, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, detail: str
) -> StreamingResponse:
    """Send rows that are known as the file `name`.csv; `detail` says in the audit log what they are."""
    visit.record("export", detail=detail)
    return _send(name, write_rows(columns, rows))


def send_answer(
    visit: Visit, name: str, columns: Iterable[str], question: Question, *, detail: str
) -> StreamingResponse:
    """Send all rows of a question with those of the columns that the role sees; the name ends with the day."""
    count = visit.count(question.relation, *question.where, among=question.among)["count"]
    visit.record("export", detail=f"{count} {detail}")
    seen = [column for column in columns if visit.sees(column) != "hidden"]
    return _send(f"{name}-{visit.about['as_of']}", write_csv(visit, question, seen))


def _send(name: str, lines: Iterator[str]) -> StreamingResponse:
    head = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=head)
