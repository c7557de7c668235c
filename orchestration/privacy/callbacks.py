"""Status callbacks of OpenDSR: who sent a request is called when its status changes, until the call was taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.control.privacy_requests import PrivacyRequests
from privacy.receipt import sign_bytes
from privacy.requests import Callback
from retention.acting.channels.base import (
    AskLaterError,
    Message,
    NotDeliveredError,
    RefusedError,
    UnclearError,
)
from retention.acting.channels.webhook import Settings, WebhookChannel
from retention.store.database import digest
from serving.privacy import Office, describe_status

SIGNATURE = "X-OpenDSR-Signature"
_MEDIUM = "opendsr"


class CallbackChannel(WebhookChannel):
    """POSTs a status as it is, with the Ed25519 signature (base64) of the body in `X-OpenDSR-Signature`."""

    kind = "opendsr"

    def __init__(self, url: str, *, key_file: Path) -> None:
        """Post to an address, signed with the key of the instance's receipts."""
        super().__init__(Settings(url=url, is_idempotent=True), secrets={})
        self._key_file = key_file

    def write(self, message: Message) -> dict[str, Any]:
        """Return the status."""
        return dict(message.body)

    def sign(self, message: Message, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 - the body is all that is signed
        """Return the header of the signature."""
        return {SIGNATURE: sign_bytes(body, key_file=self._key_file)}


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """The addresses that are called for requests, by what the office knows of each request."""

    requests: PrivacyRequests
    office: Office
    key_file: Path
    now: Callable[[], datetime]

    def deliver(self) -> dict[str, int]:
        """Call every address that does not know the present status; return how many calls were taken and not.

        What was not taken is called again in the next round, with the status of then.
        """
        calls = [self._call(each) for each in self.requests.read_callbacks()]
        return {"taken": calls.count(True), "not_taken": calls.count(False)}

    def _call(self, callback: Callback) -> bool | None:
        """Return whether a call was taken, None where the status is known already."""
        status = describe_status(self.office.find(callback.request_id), controller_id=callback.controller_id)
        if status["request_status"] == callback.known_status:
            return None
        try:
            CallbackChannel(callback.url, key_file=self.key_file).send(self._write(callback, status))
        except (AskLaterError, NotDeliveredError, RefusedError, UnclearError):
            return False
        self.requests.note_called(callback, status=status["request_status"], at=self.now())
        return True

    def _write(self, callback: Callback, status: dict[str, Any]) -> Message:
        key = digest(_MEDIUM, callback.request_id, callback.url, status["request_status"])
        return Message(key=key, channel=_MEDIUM, body=status | {"status_callback_url": callback.url}, moment=self.now())
