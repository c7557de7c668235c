"""E-mail through the company's own mail server."""

import re
import smtplib
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from threading import Timer
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from retention.acting.channels.base import (
    AddressKind,
    Channel,
    ChannelSettings,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    read_secret,
)
from retention.acting.channels.http import cut

_MAILBOX = re.compile(r"[^@\s<>,;:\"()\\]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_FOR_GOOD = 500
_POLICY = SMTP.clone(cte_type="7bit")  # a server need not take other bytes, nor bare line feeds


def _check_mailbox(address: str) -> str:
    if _MAILBOX.fullmatch(address) is None:
        raise ValueError("it is no e-mail address such as news@example.org")
    return address


def _check_host(host: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9.:-]+", host) is None:
        raise ValueError("it is no host name")
    return host


Mailbox = Annotated[str, AfterValidator(_check_mailbox)]


class Settings(ChannelSettings):
    """Where the mail server is, and who writes.

    Args:
        host, port, security: of the mail server; `tls` from the first byte, `starttls`, or `none`.
        sender: the address that messages come from; reply_to: where answers go.
        user: for signing in; password: the name of the secret.
        subject: of messages whose content brings none, in each language.
        operators: who gets messages that are for no customer, such as that a run failed.
        unsubscribe: an address for the header List-Unsubscribe.
        deadline_seconds: of one message, from the connection to the last answer.
    """

    media: tuple[str, ...] = ("email",)
    host: Annotated[str, AfterValidator(_check_host)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Mailbox
    reply_to: Mailbox | None = None
    user: str | None = None
    password: str | None = None
    subject: Mapping[str, str] = {"en": "A message for you", "zh": "为您准备的消息"}
    operators: Mailbox | None = None
    unsubscribe: Mailbox | None = None
    deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 20.0

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "SmtpChannel":  # noqa: ARG002 - nothing is stored
        """Return the channel; raises ChannelError when the password is not set."""
        password = None if self.password is None else read_secret("smtp", "password", self.password, secrets)
        return SmtpChannel(self, password=password)


class SmtpChannel(Channel):
    """Hands each message to the mail server once.

    What the server refuses before the text is not delivered; after the text only its answer counts, and without an
    answer nobody knows: a mail server cannot be asked for a message.
    """

    needs: ClassVar[AddressKind | None] = "email"

    def __init__(self, settings: Settings, *, password: str | None) -> None:
        """Keep the settings."""
        self.settings = settings
        self._password = password

    @property
    def is_askable(self) -> bool:
        """A mail server cannot be asked."""
        return False

    def find(self, key: str) -> Receipt | None:  # noqa: ARG002 - there is nothing to look it up by
        """Raise UnclearError: a mail server cannot be asked."""
        raise UnclearError("a mail server cannot be asked for a message")

    def send(self, message: Message) -> Receipt:
        """Deliver to the customer, or to the operators what is for no customer."""
        recipient = message.address or self.settings.operators
        if recipient is None or _MAILBOX.fullmatch(recipient) is None:
            raise RefusedError("the recipient's address is no e-mail address")
        letter = self._write(message, recipient)
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise NotDeliveredError(f"the mail server could not be reached ({type(error).__name__})") from error
        timer = Timer(self.settings.deadline_seconds, cut, [server.sock])
        timer.daemon = True
        timer.start()
        try:
            return self._transmit(server, letter, recipient, message.key)
        finally:
            timer.cancel()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        kind = smtplib.SMTP_SSL if self.settings.security == "tls" else smtplib.SMTP
        return kind(self.settings.host, self.settings.port, timeout=self.settings.deadline_seconds)

    def _transmit(self, server: smtplib.SMTP, letter: EmailMessage, recipient: str, key: str) -> Receipt:
        try:
            server.ehlo_or_helo_if_needed()
            if self.settings.security == "starttls":
                server.starttls()
            if self.settings.user is not None:
                server.login(self.settings.user, self._password or "")
            _require(server.mail(self.settings.sender))
            _require(server.rcpt(recipient))
        except (OSError, smtplib.SMTPException) as error:
            raise NotDeliveredError(f"the mail server broke off before the text ({type(error).__name__})") from error
        try:
            code, answer = server.data(letter.as_bytes())
        except smtplib.SMTPDataError as error:  # it did not let the text begin
            _require((error.smtp_code, _text(error.smtp_error)))
            raise UnclearError("the mail server gave no answer that is known") from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise UnclearError(f"the mail server broke off after the text ({type(error).__name__})") from error
        _require((code, answer))
        return Receipt(key=key, reference=_text(answer).decode("utf-8", "replace")[:200])

    def _write(self, message: Message, recipient: str) -> EmailMessage:
        settings, letter = self.settings, EmailMessage(policy=_POLICY)
        language = str(message.body.get("language", "en"))
        letter["From"], letter["To"] = settings.sender, recipient
        letter["Subject"] = message.body.get("subject") or settings.subject.get(language, "A message for you")
        letter["Date"] = format_datetime(message.moment)
        letter["Message-ID"] = f"<{message.key}@{settings.sender.rpartition('@')[2]}>"
        if settings.reply_to is not None:
            letter["Reply-To"] = settings.reply_to
        if settings.unsubscribe is not None:
            letter["List-Unsubscribe"] = f"<mailto:{settings.unsubscribe}?subject=unsubscribe>"
        letter.set_content(str(message.body["text"]))
        return letter


def _require(answer: tuple[int, bytes]) -> None:
    """Raise what an answer other than 2xx means: from 500 on refused for good, else a later attempt may succeed."""
    code, text = answer
    if 200 <= code < 300:  # noqa: PLR2004 - the 2xx answers
        return
    trouble = f"the mail server answered {code}: {_text(text).decode('utf-8', 'replace')[:200]}"
    if code >= _FOR_GOOD:
        raise RefusedError(trouble)
    if code > 0:
        raise NotDeliveredError(trouble)
    raise UnclearError(trouble)


def _text(answer: bytes | str) -> bytes:
    return answer if isinstance(answer, bytes) else answer.encode()
