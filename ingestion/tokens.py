"""Keyed tokens in place of personal values, and the coarse attributes that may stay, as SQL.

A token is HMAC-SHA-256 (RFC 2104) over the normalised value, cut to 128 bits; without the key it cannot be
recomputed, with it the same value gives the same token in every table, so rows still join.
"""

from dataclasses import dataclass

_BLOCK = 64
_LEAST_KEY = 16
# What is tokenised changes with this number, so that everything is landed anew under the same form.
FORM = 3
EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
PHONE = r"\+\d[\d ()/.-]{6,20}"
# Country calling codes, ITU-T E.164: one digit, the two-digit ones, all others have three.
_COUNTRIES = r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d"


@dataclass(frozen=True, kw_only=True)
class Tokeniser:
    """SQL for tokens under one key; `parameters` must be bound by name wherever the SQL runs."""

    inner: bytes
    outer: bytes

    @property
    def parameters(self) -> dict[str, bytes]:
        """The padded keys, so that no key stands in the text of a query."""
        return {"token_inner": self.inner, "token_outer": self.outer}

    @staticmethod
    def is_in(query: str) -> bool:
        """Tell whether a query makes tokens."""
        return "$token_inner" in query

    def token(self, value: str) -> str:
        """Return SQL for the token of the text expression `value`; null stays null."""
        inner = f"unhex(sha256($token_inner || encode({value})))"
        return f"'tok_' || left(sha256($token_outer || {inner}), 32)"


def tokeniser(key: str) -> Tokeniser:
    """Return the tokeniser of `key`; raises ValueError when the key is too short to be one."""
    import hashlib

    secret = key.encode()
    if len(secret) < _LEAST_KEY:
        raise ValueError(f"it has fewer than {_LEAST_KEY} characters")
    padded = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return Tokeniser(inner=bytes(byte ^ 0x36 for byte in padded), outer=bytes(byte ^ 0x5C for byte in padded))


def normalised(column: str, value: str, *, kind: str | None = None) -> str:
    """Return SQL for the form of a personal `value` that is tokenised: the same person, however it was typed.

    `kind` is the SQL expression that says what an `identities.value` is.
    """
    text = f"nullif(trim({value}), '')"
    email, phone = f"lower({text})", _national(text)
    match column:
        case "email":
            return email
        case "phone":
            return phone
        case "name" | "address":
            return rf"nullif(lower(regexp_replace({text}, '[^\p{{L}}\p{{N}}]+', '', 'g')), '')"
        case "value" if kind:
            return f"case {kind} when 'email' then {email} when 'phone' then {phone} else {text} end"
    return text


def _national(text: str) -> str:
    """Return SQL for the digits of a telephone number without country code and trunk prefix.

    A number written from abroad and at home is one number; that two countries may have the same one is accepted,
    because a shared number alone links nobody.
    """
    digits = rf"regexp_replace({text}, '[^0-9+]', '', 'g')"
    return rf"nullif(replace(regexp_replace({digits}, '^(?:(?:\+|00)(?:{_COUNTRIES}))?0*', ''), '+', ''), '')"


def email_domain(value: str) -> str:
    """Return SQL for the part of an e-mail address after the @."""
    return f"nullif(lower(trim(split_part({value}, '@', 2))), '')"


def age_band(value: str, *, on: str) -> str:
    """Return SQL for the age band, on the day `on`, of somebody born on `value`; null where that is no date."""
    age = f"datesub('year', try_cast({value} as date), {on})"
    floors = (65, 55, 45, 35, 25, 18, 0)
    names = ("65+", "55-64", "45-54", "35-44", "25-34", "18-24", "0-17")
    return (
        "case "
        + " ".join(f"when {age} >= {low} then '{name}'" for low, name in zip(floors, names, strict=True))
        + " end"
    )
