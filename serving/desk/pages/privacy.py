"""Requests of customers about their data: when each is due, its steps, and its files."""

from datetime import date

from fastapi import APIRouter
from fastapi.responses import Response

from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to
from serving.privacy import OfficeError, Request, Step, find_office, require_customer

router = APIRouter()
STEPS: tuple[Step, ...] = ("verify", "plan", "run", "refuse", "hold", "extend")
LONGEST_NOTE = 400
TYPES = {"zip": "application/zip", "json": "application/json", "pub": "application/x-pem-file"}


@router.get("/privacy")
def list_requests(visit: Person) -> Response:
    """Show open requests, the one that is due first in front, or all."""
    return _list(visit)


@router.post("/privacy")
def receive(visit: Person, form: Form) -> Response:
    """Write a request down."""
    office = find_office(visit)
    customer_id = form.get("customer_id", "").strip()
    try:
        require_customer(visit, customer_id)
        received_on = date.fromisoformat(form["received_on"]) if form.get("received_on") else None
        request = office.receive(
            form.get("kind", ""), customer_id, by=visit.name, note=form.get("note", "")[:LONGEST_NOTE],
            law=form.get("law") or None, received_on=received_on,
        )  # fmt: skip
    except NotFoundError:
        return _list(visit, fault=visit.words.text("privacy.unknown"))
    except ValueError:
        raise InvalidRequestError("`received_on` is no day.") from None
    except OfficeError as fault:
        return _list(visit, fault=str(fault))
    visit.record("privacy", subject=request.request_id[:8], detail=f"{request.kind} received")
    return go_to(f"/privacy/{request.request_id}")


@router.get("/privacy/{request_id}")
def show(visit: Person, request_id: str) -> Response:
    """Show a request with all its steps."""
    return _show(visit, find_request(visit, request_id))


@router.post("/privacy/{request_id}/{step}")
def take(visit: Person, request_id: str, step: str, form: Form) -> Response:
    """Take the next step of a request."""
    office, request = find_office(visit), find_request(visit, request_id)
    named = next((each for each in STEPS if each == step), None)
    if named is None:
        raise NotFoundError
    try:
        office.take(
            named, request.request_id, by=visit.name, note=form.get("note", "")[:LONGEST_NOTE],
            with_contacts="with_contacts" in form,
        )  # fmt: skip
    except OfficeError as fault:
        return _show(visit, request, fault=str(fault))
    visit.record("privacy", subject=request.request_id[:8], detail=f"{request.kind}: {named}")
    return go_to(f"/privacy/{request.request_id}")


@router.get("/privacy/{request_id}/files/{name}")
def download(visit: Person, request_id: str, name: str) -> Response:
    """Send a receipt, the key that it was signed with, or the copy for the customer."""
    office, request = find_office(visit), find_request(visit, request_id)
    try:
        content = office.read_file(request.request_id, name)
    except OfficeError:
        raise NotFoundError from None
    visit.record("privacy", subject=request.request_id[:8], detail=f"{request.kind}: {name} downloaded")
    stem, _, suffix = name.rpartition(".")
    head = {"Content-Disposition": f'attachment; filename="{stem}-{request.request_id[:8]}.{suffix}"'}
    return Response(content, media_type=TYPES[suffix], headers=head)


def find_request(visit: Visit, request_id: str) -> Request:
    """Return a request. Raises NotFoundError."""
    try:
        return find_office(visit).find(request_id)
    except OfficeError:
        raise NotFoundError from None


def _list(visit: Visit, *, fault: str = "") -> Response:
    visit.require("privacy")
    office = visit.desk.office
    is_all = visit.parameter("all") is not None
    requests = [] if office is None else office.read(is_open=not is_all)
    return visit.render("privacy.html", office=office, requests=requests, is_all=is_all, fault=fault)


def _show(visit: Visit, request: Request, *, fault: str = "") -> Response:
    events = find_office(visit).read_events(request.request_id)
    return visit.render("privacy_request.html", request_=request, events=events, fault=fault)
