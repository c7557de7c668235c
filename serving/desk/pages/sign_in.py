"""Signing in and out, and the link by which somebody chooses their first password."""

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from serving.desk.language import Words
from serving.desk.visit import (
    SESSION_COOKIE,
    VISIT_COOKIE,
    Desk,
    Form,
    NotFoundError,
    Person,
    go_to,
    language_of,
    render,
    set_cookie,
)
from serving.sign_in.passwords import hash_secret, make_secret
from serving.sign_in.provider import Provider
from serving.sign_in.users import SignInError

router = APIRouter()
REFUSED = 401
ROUND_COOKIE, ROUND_LASTS = "holdfast_round", timedelta(minutes=10)


@router.get("/")
def start() -> RedirectResponse:
    """Send to the first page."""
    return go_to("/today")


@router.get("/sign-in")
def show(request: Request) -> Response:
    """Show the form."""
    reason = "ended" if "ended" in request.query_params else None
    return _form(request, "sign_in.html", reason=reason)


@router.post("/sign-in")
def sign_in(request: Request, form: Form) -> Response:
    """Begin a session, or show the form again with the reason."""
    desk: Desk = request.app.state.desk
    try:
        secret = desk.users.sign_in(
            form.get("name", ""), form.get("password", ""), code=form.get("code", ""), at=desk.now()
        )
    except SignInError as error:
        return _form(request, "sign_in.html", reason=error.reason, status=REFUSED)
    return _begin(secret)


@router.get("/sign-in/provider")
async def ask_provider(request: Request) -> Response:
    """Send the browser to the provider of single sign-on."""
    provider, secret = _find_provider(request), make_secret()
    try:
        address = await provider.begin(secret, redirect_uri=_return_address(request))
    except SignInError as error:
        return await run_in_threadpool(_form, request, "sign_in.html", reason=error.reason, status=REFUSED)
    answer = RedirectResponse(address, status_code=303)
    # strict cookies do not come back with the browser from another site
    set_cookie(answer, ROUND_COOKIE, secret, keep=ROUND_LASTS, same_site="lax")
    return answer


@router.get("/sign-in/callback")
async def return_from_provider(request: Request) -> Response:
    """Begin a session of somebody who comes back identified, or show the form with the reason."""
    provider, desk = _find_provider(request), request.app.state.desk
    secret = request.cookies.get(ROUND_COOKIE) or make_secret()
    try:
        identity = await provider.finish(
            secret, redirect_uri=_return_address(request), answer=dict(request.query_params), at=desk.now()
        )
        session = await run_in_threadpool(desk.users.enter, identity.user, subject=identity.subject, at=desk.now())
    except SignInError as error:
        answer = await run_in_threadpool(_form, request, "sign_in.html", reason=error.reason, status=REFUSED)
    else:
        # a redirect would still count as coming from the other site, and the strict cookie would stay at home
        answer = render(desk, request, "signed_in.html", words=Words(language=language_of(request)))
        set_cookie(answer, SESSION_COOKIE, session)
    answer.delete_cookie(ROUND_COOKIE, path="/")
    return answer


@router.get("/link/{secret}")
def show_link(request: Request, secret: str) -> Response:
    """Show the form by which the owner of a link chooses a password; looking does not use it up."""
    desk: Desk = request.app.state.desk
    name = desk.users.owns_link(secret, at=desk.now())
    if name is None:
        return _form(request, "sign_in.html", reason="link", status=REFUSED)
    return _form(request, "choose.html", name=name)


@router.post("/link/{secret}")
def choose(request: Request, secret: str, form: Form) -> Response:
    """Set the password and begin a session."""
    desk: Desk = request.app.state.desk
    try:
        session = desk.users.choose_password(secret, form.get("password", ""), at=desk.now())
    except SignInError as error:
        name = desk.users.owns_link(secret, at=desk.now())
        return _form(request, "choose.html" if name else "sign_in.html", reason=error.reason, name=name, status=REFUSED)
    return _begin(session)


@router.post("/sign-out")
def sign_out(visit: Person, _form: Form) -> RedirectResponse:
    """End the session."""
    visit.desk.users.sign_out(visit.secret, at=visit.now)
    answer = go_to("/sign-in")
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer


def _find_provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.desk.provider
    if provider is None:
        raise NotFoundError
    return provider


def _return_address(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/sign-in/callback"


def _begin(secret: str) -> RedirectResponse:
    answer = go_to("/today")
    set_cookie(answer, SESSION_COOKIE, secret)
    answer.delete_cookie(VISIT_COOKIE, path="/")
    return answer


def _form(
    request: Request, template: str, *, reason: str | None = None, name: str | None = None, status: int = 200
) -> Response:
    """Return a form of somebody without a session, whose token belongs to a cookie of its own."""
    desk: Desk = request.app.state.desk
    limits = desk.policy.desk.sign_in
    words = Words(language=language_of(request))
    values = {"minutes": limits.locked_minutes, "length": limits.minimum_password_length}
    message = None if reason is None else words.text(f"refused.{reason}", **values)
    secret = request.cookies.get(VISIT_COOKIE) or make_secret()
    answer = render(
        desk,
        request,
        template,
        words=words,
        status=status,
        csrf=hash_secret(secret, "form"),
        message=message,
        name=name,
        provider=desk.provider,
        length=limits.minimum_password_length,
    )
    set_cookie(answer, VISIT_COOKIE, secret)
    answer.delete_cookie(SESSION_COOKIE, path="/")
    return answer
