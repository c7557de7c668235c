"""The second factor: codes of six digits that an app derives from a secret and the time (RFC 6238)."""

import hmac
from datetime import datetime

_DRIFT = (-1, 0, 1)  # steps of half a minute that a phone's clock may be off


def make_totp_secret() -> str:
    """Return a new secret in base 32, as apps take it."""
    import pyotp

    return pyotp.random_base32()


def write_address(secret: str, *, name: str) -> str:
    """Return the otpauth address that an app opens."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Holdfast")


def find_step(secret: str, code: str, *, at: datetime, after: int | None) -> int | None:
    """Return the time step of a code that holds now, None for any other, and for one that was used before."""
    import pyotp

    totp = pyotp.TOTP(secret)
    steps = (totp.timecode(at) + drift for drift in _DRIFT)
    return next((step for step in steps if step > (after or 0) and _is_same(totp.generate_otp(step), code)), None)


def _is_same(right: str, code: str) -> bool:
    return hmac.compare_digest(right.encode(), code.encode())
