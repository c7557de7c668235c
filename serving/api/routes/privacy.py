"""Requests of customers about their data, in the shape of OpenDSR: exchanged between controllers and processors."""

import base64
from datetime import UTC, datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retention.acting.channels.http import Address
from serving.actor import InvalidRequestError, NotFoundError
from serving.api.caller import Caller, Program
from serving.api.hosts import check_host
from serving.api.idempotency import ConflictError
from serving.privacy import (
    VERSION,
    Office,
    OfficeError,
    Request,
    Status,
    describe_status,
    end_of,
    find_office,
    require_customer,
)

router = APIRouter(prefix="/privacy", tags=["privacy"])
CREATED = 201
MOST_CALLBACKS = 5
TAKEN_BACK = "taken back by its sender"
RequestId = Annotated[UUID, Path()]


class Identity(BaseModel):
    """Whose data it is: the customer's id here."""

    model_config = ConfigDict(extra="forbid")

    identity_type: Literal["controller_customer_id"]
    identity_value: Annotated[str, Field(min_length=1, max_length=200)]
    identity_format: Literal["raw"] = "raw"


class Submission(BaseModel):
    """A request; whoever sends it has an id of their own for it."""

    model_config = ConfigDict(extra="forbid")

    regulation: Annotated[str, Field(max_length=40)]
    subject_request_id: UUID
    subject_request_type: Annotated[str, Field(max_length=40)]
    submitted_time: AwareDatetime
    subject_identities: Annotated[list[Identity], Field(min_length=1, max_length=1)]
    api_version: Literal["2.0"] = VERSION
    status_callback_urls: Annotated[
        list[Annotated[Address, Field(max_length=500)]],
        Field(max_length=MOST_CALLBACKS, description="Called by POST, signed, on hosts of `desk.api.webhook_hosts`."),
    ] = []


class Discovery(BaseModel):
    """Which requests and identities are taken."""

    api_version: str
    supported_identities: list[dict[str, str]]
    supported_subject_request_types: list[str]
    supported_regulations: list[str]
    processor_certificate: str


class Received(BaseModel):
    """That a request was written down; `encoded_request` is what came, as base64."""

    controller_id: str
    subject_request_id: UUID
    received_time: datetime
    expected_completion_time: datetime
    encoded_request: str


class State(BaseModel):
    """What became of a request; `results_url` is where its receipt can be had."""

    controller_id: str
    subject_request_id: UUID
    subject_request_type: str
    request_status: Status
    expected_completion_time: datetime
    results_url: str | None
    api_version: str


class Listing(BaseModel):
    """Requests, the one that is due first in front."""

    data: list[State]


@router.get("/discovery")
def discover(program: Program) -> Discovery:
    """Return which requests are taken."""
    office = find_office(program)
    return Discovery(
        api_version=VERSION,
        supported_identities=[{"identity_type": "controller_customer_id", "identity_format": "raw"}],
        supported_subject_request_types=list(office.kinds),
        supported_regulations=list(office.laws),
        processor_certificate="/v1/privacy/signing.pub",
    )


@router.get("/signing.pub", response_class=Response)
def read_public_key(program: Program) -> Response:
    """Return the public key (PEM, Ed25519) of the signatures of receipts and callbacks."""
    return Response(find_office(program).read_public_key(), media_type="application/x-pem-file")


@router.post("/requests", status_code=CREATED)
def submit(program: Program, body: Submission) -> Received:
    """Write a request down; who asks is then verified by a person. The same id again gives the same answer."""
    office = find_office(program)
    known = _find(office, body.subject_request_id)
    if known is None:
        for url in body.status_callback_urls:
            check_host(program, url)
        require_customer(program, body.subject_identities[0].identity_value)
        known = _receive(program, office, body)
    elif known.kind != body.subject_request_type:
        raise ConflictError("There is a request of this id and another type; a new one has an id of its own.")
    return Received(
        controller_id=program.key.name,
        subject_request_id=body.subject_request_id,
        received_time=datetime.combine(known.received_on, time(), tzinfo=UTC),
        expected_completion_time=end_of(known),
        encoded_request=base64.b64encode(body.model_dump_json(exclude_unset=True).encode()).decode(),
    )


@router.get("/requests")
def list_requests(program: Program) -> Listing:
    """Return open requests."""
    return Listing(data=[_describe(program, each) for each in find_office(program).read(is_open=True)])


@router.get("/requests/{subject_request_id}")
def show(program: Program, subject_request_id: RequestId) -> State:
    """Return what became of a request."""
    return _describe(program, _require(program, subject_request_id))


@router.delete("/requests/{subject_request_id}")
def cancel(program: Program, subject_request_id: RequestId) -> State:
    """Take a request back that has not begun to run."""
    request = _require(program, subject_request_id)
    try:
        ended = find_office(program).take("refuse", request.request_id, by=program.name, note=TAKEN_BACK)
    except OfficeError as fault:
        raise ConflictError(str(fault)) from None
    program.record("privacy", subject=request.request_id[:8], detail=f"{request.kind} taken back")
    return _describe(program, ended)


FILES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}


@router.get("/requests/{subject_request_id}/{name}", response_class=Response, responses=FILES)
def download(
    program: Program, subject_request_id: RequestId, name: Literal["receipt.json", "signing.pub", "copy.zip"]
) -> Response:
    """Send the signed receipt, the public key it was signed with, or the copy of the data."""
    request = _require(program, subject_request_id)
    try:
        content = find_office(program).read_file(request.request_id, name)
    except OfficeError:
        raise NotFoundError from None
    program.record("privacy", subject=request.request_id[:8], detail=f"{request.kind}: {name} downloaded")
    return Response(content, media_type="application/octet-stream")


def _find(office: Office, request_id: UUID) -> Request | None:
    try:
        return office.find(request_id.hex)
    except OfficeError:
        return None


def _require(program: Caller, request_id: UUID) -> Request:
    found = _find(find_office(program), request_id)
    if found is None:
        raise NotFoundError
    return found


def _receive(program: Caller, office: Office, body: Submission) -> Request:
    try:
        request = office.receive(
            body.subject_request_type,
            body.subject_identities[0].identity_value,
            by=program.name,
            note="by the API",
            law=body.regulation,
            received_on=body.submitted_time.date(),
            request_id=body.subject_request_id.hex,
            callbacks=dict.fromkeys(body.status_callback_urls, program.key.name),
        )
    except OfficeError as fault:
        raise InvalidRequestError(str(fault)) from None
    program.record("privacy", subject=request.request_id[:8], detail=f"{request.kind} received")
    return request


def _describe(program: Caller, request: Request) -> State:
    return State.model_validate(describe_status(request, controller_id=program.key.name))
