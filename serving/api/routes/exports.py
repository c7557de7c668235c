"""Lists as files: the same rows, fields, filters and order as their pages."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from serving.actor import InvalidRequestError
from serving.api.caller import Program
from serving.api.listing import Filters, read_filters
from serving.api.resources import RESOURCES
from serving.export import write_csv, write_parquet

router = APIRouter(tags=["exports"])


class Export(Filters):
    """What is exported, and as which kind of file."""

    format: Literal["csv", "parquet"] = "csv"


FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/exports/{name}", response_class=StreamingResponse, responses=FILES)
def export(
    program: Program,
    name: Annotated[Literal["customers", "alerts", "plan", "prices"], Path()],
    asked: Annotated[Export, Query()],
) -> Response:
    """Send a whole list as a file; it stands in the audit log with its filters."""
    resource = RESOURCES[name]
    program.require("export")
    program.require(resource.action)
    question = read_filters(program, resource, asked)
    types = program.desk.snapshot.types(resource.relation)
    names = [each for each in (asked.fields.split(",") if asked.fields else types) if program.sees(each) != "hidden"]
    if not names:
        raise InvalidRequestError("This key sees no field of this list.")
    count = program.count(resource.relation, *question.where)["count"]
    filters = ", ".join(f"{each.column} {each.comparison}" for each in question.where) or "all"
    program.record("export", detail=f"{count} rows of {name}, by {filters}")
    head = {"Content-Disposition": f'attachment; filename="{name}-{program.about["as_of"]}.{asked.format}"'}
    if asked.format == "csv":
        return StreamingResponse(write_csv(program, question, names), media_type="text/csv", headers=head)
    pieces = write_parquet(program, question, names, types)
    return StreamingResponse(pieces, media_type="application/vnd.apache.parquet", headers=head)
