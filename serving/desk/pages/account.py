"""One's own account: the second factor."""

from fastapi import APIRouter
from fastapi.responses import Response

from serving.desk.visit import Form, Person, Visit, go_to
from serving.sign_in.second_factor import write_address
from serving.sign_in.users import SignInError

router = APIRouter()
INVALID = 400


@router.get("/account")
def show(visit: Person) -> Response:
    """Show whether signing in needs a code."""
    return _show(visit)


@router.post("/account/second-factor")
def begin(visit: Person, _form: Form) -> Response:
    """Show a new secret, once."""
    return _show(visit, secret=visit.desk.users.begin_second_factor(visit.name))


@router.post("/account/second-factor/confirm")
def confirm(visit: Person, form: Form) -> Response:
    """Need a code from now on, when this is one of the new secret."""
    try:
        visit.desk.users.confirm_second_factor(visit.name, form.get("code", ""), at=visit.now)
    except SignInError as error:
        return _show(visit, message=visit.words.text(f"refused.{error.reason}"), status=INVALID)
    return go_to("/account")


def _show(visit: Visit, *, secret: str | None = None, message: str | None = None, status: int = 200) -> Response:
    return visit.render(
        "account.html",
        secret=secret,
        address=write_address(secret, name=visit.name) if secret else None,
        is_on=visit.desk.users.has_second_factor(visit.name),
        message=message,
        status=status,
    )
