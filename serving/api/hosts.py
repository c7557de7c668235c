"""Where programs may have something posted to: hosts that the company names, never one that a caller thought of."""

from urllib.parse import urlsplit

from serving.actor import InvalidRequestError
from serving.api.caller import Caller
from serving.same_site import LOOPBACK_NAMES


def check_host(program: Caller, url: str) -> None:
    """Let events go to hosts alone that the company names, and in the clear to this machine alone.

    Raises InvalidRequestError.
    """
    parts = urlsplit(url)
    if parts.hostname not in program.desk.policy.desk.api.webhook_hosts:
        raise InvalidRequestError("Events are posted to hosts that `desk.api.webhook_hosts` of the policy names.")
    if parts.scheme != "https" and parts.hostname not in LOOPBACK_NAMES:
        raise InvalidRequestError("Events are posted by https.")
