"""Who asks, and what every figure rests on."""

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from serving.api.caller import Program
from serving.api.listing import Row, answer

router = APIRouter(tags=["about"])


class About(BaseModel):
    """Company, churn definition, day and age of the figures; the key's role and what it may do and see."""

    about: Row
    snapshot: str
    role: str
    actions: list[str]
    fields: dict[str, str]


@router.get("/about", response_model=About)
def show(program: Program) -> Response:
    """Return what the figures rest on, and what this key may do."""
    access = program.grant.access
    columns = sorted({name for names in access.fields.values() for name in names})
    seen = {name: program.sees(name) for name in columns}
    body = {
        "about": program.about,
        "snapshot": program.desk.snapshot.version,
        "role": program.grant.role,
        "actions": access.roles[program.grant.role].actions,
        "fields": {name: how for name, how in seen.items() if how != "hidden"},
    }
    return answer(program, body)
