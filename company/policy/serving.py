"""What the desk goes by: how much of the past it shows, and how long a sign-in lasts."""

from typing import Annotated

from pydantic import Field

from company.policy.units import Days, Section

Positive = Annotated[int, Field(ge=1)]


class SignIn(Section):
    """How long a session lasts and may stay idle, how many failures lock an account, and what a password needs."""

    session_hours: Positive
    idle_minutes: Positive
    attempts: Positive
    locked_minutes: Positive
    link_hours: Positive
    minimum_password_length: Annotated[int, Field(ge=8)]


class Api(Section):
    """How often a key may ask, how long it holds, how long a retry gets the first answer, and where webhooks may go."""

    requests_per_minute: Positive
    key_days: Positive
    retry_hours: Positive
    webhook_hosts: tuple[str, ...] = ()


class SingleSignOn(Section):
    """An OpenID Connect provider, and what of its claims becomes a person's name, role, owner and region.

    `secret` names the environment variable that holds the client's secret; `roles` maps values of `role_claim` to roles
    of `serving/access.yaml`, the first that a person has counts.
    """

    label: str = "single sign-on"
    issuer: Annotated[str, Field(pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])")]
    client_id: Annotated[str, Field(min_length=1)]
    secret: str | None = None
    scope: str = "openid profile email"
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    owner_claim: str | None = None
    region_claim: str | None = None
    roles: Annotated[dict[str, str], Field(min_length=1)]


class Desk(Section):
    """Days published, days without a second alert, hours until figures are old, sign-in, single sign-on, keys."""

    history_days: Days
    quiet_days: Days
    stale_after_hours: Positive
    sign_in: SignIn
    single_sign_on: SingleSignOn | None
    api: Api
