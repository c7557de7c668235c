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
    """How often a key may ask, how long it holds, and for how long a retry of a write gets the first answer."""

    requests_per_minute: Positive
    key_days: Positive
    retry_hours: Positive


class Desk(Section):
    """Days that are published, days without a second alert, hours until figures are old, sign-in and keys."""

    history_days: Days
    quiet_days: Days
    stale_after_hours: Positive
    sign_in: SignIn
    api: Api
