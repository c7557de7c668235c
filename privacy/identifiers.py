"""Whose data a request is about: the values by which the customer's traces are found, sealed while it is open."""

import hashlib
import hmac
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from privacy.matching import Matcher

_LEAST_KEY = 16
_LEAST_MIXED, _LEAST_TEXT = 5, 8  # characters from which letters with digits, or letters alone, are found by bytes
_HEXADECIMAL, _LEAST_HEXADECIMAL = frozenset("0123456789abcdef"), 16
_NONCE_BYTES = 12


class KeyMissingError(Exception):
    """The key of tokens is missing or is another one; the message is one paragraph with the fix."""


@dataclass(frozen=True, kw_only=True)
class Identifiers:
    """What finds a customer: ids of all accounts, keys of messages and alerts, and personal values of nobody else.

    `renamed` and `renamed_keys` are what an anonymisation writes in the place of each id and key. `tokens` stand for
    personal values; `clear` are the values themselves, which are searched for and should be nowhere. `ambiguous` are
    ids that stand within the id of somebody else.
    """

    customers: tuple[str, ...]
    keys: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    renamed_keys: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()

    def with_former(self, former: "Identifiers") -> "Identifiers":
        """Return these with the values that were found earlier and are not among them."""
        return replace(
            self,
            tokens=tuple(sorted({*self.tokens, *former.tokens})),
            clear=tuple(sorted({*self.clear, *former.clear})),
            ambiguous=tuple(sorted({*self.ambiguous, *former.ambiguous})),
        )

    @property
    def new_names(self) -> dict[str, str]:
        """What an anonymisation writes in the place of an id or a key."""
        pairs = (*zip(self.customers, self.renamed, strict=True), *zip(self.keys, self.renamed_keys, strict=True))
        return dict(pairs)

    @cached_property
    def searched(self) -> tuple[str, ...]:
        """The values that are searched for wherever they may be: those that cannot be anything else."""
        values = {*self.customers, *self.keys, *self.tokens, *self.clear} - {*self.ambiguous}
        return tuple(sorted(filter(is_distinctive, values)))

    @cached_property
    def matcher(self) -> Matcher:
        """What finds the searched values in bytes; made once, because every table and file is asked by it."""
        return Matcher(values=self.searched)

    @property
    def indistinct(self) -> int:
        """How many ids and values are short, plain numbers or ambiguous, and only searched for in columns of ids."""
        return len({*self.customers, *self.clear} - {*self.searched})

    def __repr__(self) -> str:
        """Show nothing of the values."""
        return f"Identifiers({len(self.customers)} customers)"


def is_distinctive(value: str) -> bool:
    """Tell whether `value` can be searched for in bytes: a plain number or a short word is found everywhere.

    What could be hexadecimal digits stands in keys and tokens by chance, unless it is long.
    """
    if set(value.lower()) <= _HEXADECIMAL:
        return len(value) >= _LEAST_HEXADECIMAL
    has_letter, has_digit = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    return has_letter and len(value) >= (_LEAST_MIXED if has_digit else _LEAST_TEXT)


def join(parts: Iterable[Identifiers]) -> Identifiers:
    """Return the identifiers of several customers together."""
    listed = [asdict(part) for part in parts]
    names = Identifiers.__dataclass_fields__
    return Identifiers(**{name: tuple(value for part in listed for value in part[name]) for name in names})


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """Keyed tokens of customer ids, and sealed identifiers, under the key of the instance's tokens."""

    key: bytes

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Keyring()"

    def token(self, customer_id: str) -> str:
        """Return the token by which an id is known after it is gone; `ingestion.suppression` computes it in SQL."""
        return f"tok_{self._digest(f'customer:{customer_id}')[:32]}"

    @property
    def check(self) -> str:
        """What shows that a token was made under another key."""
        return self._digest("check")[:16]

    def seal(self, identifiers: Identifiers, *, request_id: str) -> str:
        """Encrypt identifiers, bound to their request (AES-256-GCM)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        plain = json.dumps(asdict(identifiers)).encode()
        return (nonce + AESGCM(self._sealing_key).encrypt(nonce, plain, request_id.encode())).hex()

    def open(self, sealed: str, *, request_id: str) -> Identifiers:
        """Return sealed identifiers. Raises KeyMissingError under another key."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        data = bytes.fromhex(sealed)
        try:
            plain = AESGCM(self._sealing_key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], request_id.encode())
        except InvalidTag:
            raise KeyMissingError(
                f"The ids of the request {request_id} were sealed under another HOLDFAST_TOKEN_KEY; bring back the key "
                "of that day, finish the request, and change the key afterwards."
            ) from None
        return Identifiers(**{name: tuple(values) for name, values in json.loads(plain).items()})

    @property
    def _sealing_key(self) -> bytes:
        return bytes.fromhex(self._digest("sealed identifiers"))

    def _digest(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


def make_keyring(key: str) -> Keyring:
    """Return the keyring of HOLDFAST_TOKEN_KEY. Raises KeyMissingError where it is not set or too short."""
    if len(key) < _LEAST_KEY:
        raise KeyMissingError(
            "Requests about personal data need HOLDFAST_TOKEN_KEY, a long random text: by it the ids are sealed while "
            "a request is open, and kept out of later ingestions afterwards. Set it as your runs have it, and keep it."
        )
    return Keyring(key=key.encode())
