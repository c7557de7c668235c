"""Accounts and keys: who may sign in, and which program may ask, with which role; for administrators."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from serving.desk.visit import Form, InvalidRequestError, NotFoundError, Person, Visit, go_to
from serving.sign_in.keys import ApiKey
from serving.sign_in.users import User

router = APIRouter()
INVALID = 400


@router.get("/users")
def list_users(visit: Person) -> Response:
    """Show all accounts."""
    return _show(visit)


@router.post("/users")
def add(visit: Person, form: Form) -> Response:
    """Add an account and show its link, once."""
    visit.require("users")
    user = _read_user(visit, form, name=form.get("name", ""))
    try:
        secret = visit.desk.users.add(user, by=visit.user.name, at=visit.now)
    except ValueError:
        return _show(visit, message=visit.words.text("users.known"), status=INVALID)
    return _show(visit, new=(user.name, _address(visit, secret)))


@router.post("/users/{name}")
def change(visit: Person, name: str, form: Form) -> Response:
    """Change what an account may see, or make a new link for it."""
    visit.require("users")
    if name not in {row["name"] for row in visit.desk.users.read()}:
        raise NotFoundError
    if "renew" in form:
        secret = visit.desk.users.renew_link(name, by=visit.user.name, at=visit.now)
        return _show(visit, new=(name, _address(visit, secret)))
    if name == visit.user.name:  # or nobody might be left who can undo it
        return _show(visit, message=visit.words.text("users.self"), status=INVALID)
    user = _read_user(visit, form, name=name)
    visit.desk.users.change(user, is_disabled="disabled" in form, by=visit.user.name, at=visit.now)
    return go_to("/users")


@router.post("/keys")
def add_key(visit: Person, form: Form) -> Response:
    """Make a key for a program and show it, once."""
    visit.require("users")
    user = _read_user(visit, form, name=form.get("name", ""), holder="keys")
    days, most = form.get("days", ""), _most_days(visit)
    if not days.isdecimal() or not 1 <= int(days) <= most:
        raise InvalidRequestError("A key holds for a number of days within the policy's.")
    try:
        key = visit.desk.keys.add(ApiKey(**vars(user)), by=visit.name, at=visit.now, days=int(days))
    except ValueError:
        return _show(visit, message=visit.words.text("users.known"), status=INVALID)
    return _show(visit, new_key=(user.name, key))


@router.post("/keys/{key_id}/revoke")
def revoke_key(visit: Person, key_id: str, _form: Form) -> Response:
    """End a key at once."""
    visit.require("users")
    try:
        visit.desk.keys.revoke(key_id, by=visit.name, at=visit.now)
    except ValueError:
        raise NotFoundError from None
    return go_to("/users#keys")


def _most_days(visit: Visit) -> int:
    return visit.desk.policy.desk.api.key_days


def _read_user(visit: Visit, form: dict[str, str], *, name: str, holder: Literal["people", "keys"] = "people") -> User:
    if form.get("role") not in visit.desk.access.roles_of(holder):
        raise InvalidRequestError("There is no such role.")
    return User(name=name, role=form["role"], owner=form.get("owner") or None, region=form.get("region") or None)


def _address(visit: Visit, secret: str) -> str:
    return f"{str(visit.request.base_url).rstrip('/')}/link/{secret}"


def _show(
    visit: Visit,
    *,
    new: tuple[str, str] | None = None,
    new_key: tuple[str, str] | None = None,
    message: str | None = None,
    status: int = 200,
) -> Response:
    visit.require("users")
    access, language = visit.desk.access, visit.words.language
    roles = {name: getattr(role, language) for name, role in access.roles_of("people").items()}
    key_roles = {name: getattr(role, language) for name, role in access.roles_of("keys").items()}
    return visit.render(
        "users.html",
        rows=visit.desk.users.read(),
        keys=visit.desk.keys.read(),
        key_days=_most_days(visit),
        roles=roles,
        key_roles=key_roles,
        new=new,
        new_key=new_key,
        message=message,
        status=status,
    )
