import base64
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from receivers import MailServer, Receiver

from company.sealed_file import is_sealed, read_file
from retention.acting import channels as channels_package
from retention.acting.channels import Channel, ChannelError, Message, Receipt, build_channels
from retention.acting.channels.base import AskLaterError, NotDeliveredError, RefusedError, UnclearError
from retention.acting.channels.file import FileChannel
from retention.acting.channels.gateway import GatewayChannel
from retention.acting.inbox import Inbox
from retention.acting.signing import SignatureError, sign, verify

AT = datetime(2017, 12, 1, 12, 0, tzinfo=UTC)
BODY = {"text": "送您礼券", "customer_id": "c1", "language": "zh", "valid_until": "2017-12-15", "campaign": "voucher"}
OFFERS = [{"kind": "points", "amount": 2.0}, {"kind": "coupon", "amount": 10.0}]
MESSAGE = Message(key="k1", channel="sms", body=BODY | {"offers": OFFERS}, moment=AT)


def secret(content: bytes = b"0123456789abcdef01234567") -> str:
    return "whsec_" + base64.b64encode(content).decode()


@pytest.fixture
def make(receiver: Receiver, tmp_path: Path) -> Callable[..., Channel]:
    """A channel over HTTP that posts to the receiver and may ask it."""

    def make(kind: str = "webhook", secrets: dict[str, str] | None = None, **changes: object) -> Channel:
        settings = {"url": receiver.address, "lookup_url": receiver.lookup, "deadline_seconds": 0.3, "media": ["*"]}
        return build_channels({kind: settings | changes}, folder=tmp_path, secrets=secrets or {})["*"]

    return make


def test_a_file_holds_the_whole_message_under_its_key(tmp_path: Path) -> None:
    receipt = FileChannel(tmp_path / "out").send(MESSAGE)
    assert receipt == Receipt(key="k1", reference="k1.json")
    written = json.loads((tmp_path / "out" / "k1.json").read_text(encoding="utf-8"))
    assert written == {"key": "k1", "channel": "sms", **MESSAGE.body}


def test_where_files_are_encrypted_a_message_is_sealed_unless_its_reader_needs_it_in_clear(tmp_path: Path) -> None:
    key = "q7Jw2mZx0aVf9KtB3sLr8YdH"
    for name, settings in {"sealed": {}, "clear": {"in_clear": True}}.items():
        made = build_channels({"file": settings}, folder=tmp_path / name, secrets={"HOLDFAST_ENCRYPTION_KEY": key})
        made["*"].send(MESSAGE)
    sealed, clear = ((tmp_path / name / f"{MESSAGE.key}.json") for name in ("sealed", "clear"))
    assert (is_sealed(sealed), is_sealed(clear)) == (True, False)
    assert read_file(sealed, key=key) == clear.read_bytes()


def test_a_file_already_there_is_not_written_again(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path)
    channel.send(MESSAGE)
    (tmp_path / "k1.json").write_text("first", encoding="utf-8")
    assert channel.send(MESSAGE) == channel.find("k1")
    assert (tmp_path / "k1.json").read_text(encoding="utf-8") == "first"


def test_a_half_written_file_does_not_count_as_sent(tmp_path: Path) -> None:
    (tmp_path / ".k1.part").write_text("{", encoding="utf-8")
    channel = FileChannel(tmp_path)
    assert channel.find("k1") is None
    channel.send(MESSAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["k1.json"]


def test_a_folder_that_cannot_be_written_means_not_delivered(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(NotDeliveredError, match="could not be written"):
        FileChannel(tmp_path / "out").send(MESSAGE)


def test_the_built_in_gateway_keeps_what_arrived_and_counts_what_came_twice(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.db")
    channel = GatewayChannel(inbox)
    assert channel.find("k1") is None
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    (arrival,) = inbox.read()
    assert (arrival.text, arrival.arrived_at, arrival.times) == ("送您礼券", AT, 2)
    assert (channel.find("k1"), inbox.count()) == (
        Receipt(key="k1", reference="in the built-in inbox"),
        {"sms": (1, 1)},
    )


def test_a_webhook_posts_the_message_with_its_idempotency_key(receiver: Receiver, make: Callable[..., Channel]) -> None:
    assert make(secrets={"T": "t"}, token="T").send(MESSAGE) == Receipt(key="k1", reference="http 201")
    assert receiver.bodies == [{"key": "k1", "channel": "sms", **MESSAGE.body}]
    _, headers = receiver.requests[0]
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("k1", "Bearer t")
    assert "webhook-signature" not in {name.lower() for name in headers}


def test_a_webhook_is_signed_with_every_key_so_that_keys_can_be_changed(
    receiver: Receiver, make: Callable[..., Channel]
) -> None:
    old, new = b"an old key of 24 bytes..", b"a new key of 24 bytes..."
    make(secrets={"OLD": secret(old), "NEW": secret(new)}, signing_keys=["NEW", "OLD"]).send(MESSAGE)
    headers = {name.lower(): value for name, value in receiver.requests[0][1].items()}
    body = json.dumps({"key": "k1", "channel": "sms", **MESSAGE.body}, ensure_ascii=False).encode()
    for key in (old, new):
        assert verify([key], headers=headers, body=body, at=AT) == "k1"
    with pytest.raises(SignatureError, match="No signature fits"):
        verify([b"some other key"], headers=headers, body=body, at=AT)
    with pytest.raises(SignatureError, match="No signature fits"):
        verify([new], headers=headers, body=body + b" ", at=AT)
    with pytest.raises(SignatureError, match="too old"):
        verify([new], headers=headers, body=body, at=AT + timedelta(minutes=6))
    with pytest.raises(SignatureError, match="webhook-id is missing"):
        verify([new], headers={}, body=body, at=AT)


def test_a_signature_is_that_of_the_standard() -> None:
    # the example of the specification, standardwebhooks.com
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, tz=UTC)
    signed = sign([key], key="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", ["425", "429"])
def test_an_answer_that_nothing_was_processed_waits_as_long_as_it_says(
    status: str, receiver: Receiver, make: Callable[..., Channel]
) -> None:
    receiver.script, receiver.retry_after = [status], "7"
    with pytest.raises(NotDeliveredError, match=f"answered {status}") as caught:
        make().send(MESSAGE)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "trouble",
    ["lose", "302", "408", "500", "502", "503", "take_and_302", "take_and_408", "take_and_500", "take_and_503",
     "take_and_lose", "take_and_wait"],
)  # fmt: skip
def test_after_an_answer_that_may_hide_a_delivery_the_look_up_decides(
    trouble: str, receiver: Receiver, make: Callable[..., Channel]
) -> None:
    receiver.script = [trouble]
    with pytest.raises(UnclearError):
        make().send(MESSAGE)
    found = Receipt(key="k1", reference="found, http 200") if trouble.startswith("take") else None
    assert make().find("k1") == found
    assert [method for method, _ in receiver.requests] == ["POST", "GET"]


@pytest.mark.parametrize("status", ["400", "401", "404", "409", "422"])
def test_an_answer_that_refuses_is_taken_at_its_word(
    status: str, receiver: Receiver, make: Callable[..., Channel]
) -> None:
    receiver.script = [status]
    with pytest.raises(RefusedError, match=f"the receiver answered {status}"):
        make().send(MESSAGE)


def test_a_body_that_never_ends_holds_nobody_longer_than_the_deadline(
    receiver: Receiver, make: Callable[..., Channel]
) -> None:
    receiver.script = ["take_and_trickle"]
    begun = time.monotonic()
    assert make().send(MESSAGE).reference == "http 201"
    assert time.monotonic() - begun < 2


def test_of_a_long_answer_the_beginning_is_read(receiver: Receiver, make: Callable[..., Channel]) -> None:
    receiver.script, receiver.answer_body = ["400"], b"x" * 1_000_000
    with pytest.raises(RefusedError) as caught:
        make().send(MESSAGE)
    assert len(str(caught.value)) < 300


def test_without_look_up_or_idempotence_nobody_can_tell(receiver: Receiver, make: Callable[..., Channel]) -> None:
    channel = make(lookup_url=None)
    assert not channel.is_askable
    with pytest.raises(UnclearError, match="can neither be asked"):
        channel.find("k1")
    assert receiver.requests == []


def test_an_idempotent_receiver_is_simply_sent_the_key_again(receiver: Receiver, make: Callable[..., Channel]) -> None:
    channel = make(lookup_url=None, is_idempotent=True)
    assert (channel.is_askable, channel.find("k1"), receiver.requests) == (True, None, [])


def test_a_look_up_that_is_down_leaves_the_question_for_later(receiver: Receiver, make: Callable[..., Channel]) -> None:
    receiver.lookup_script = ["503"]
    with pytest.raises(AskLaterError, match="answered 503"):
        make().find("k1")


def test_a_receiver_that_is_not_there_means_not_delivered(make: Callable[..., Channel]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(NotDeliveredError, match="could not be reached"):
        make(url=f"http://127.0.0.1:{port}/").send(MESSAGE)


def test_a_text_message_carries_number_text_and_key_and_nothing_else(
    receiver: Receiver, make: Callable[..., Channel]
) -> None:
    message = Message(key="k1", channel="sms", body=MESSAGE.body, moment=AT, address="+41 79 123 45 67")
    channel = make("sms", sender="Shop")
    channel.send(message)
    assert receiver.bodies == [{"to": "+41 79 123 45 67", "text": "送您礼券", "reference": "k1", "from": "Shop"}]
    assert channel.needs == "phone"
    assert "79" not in repr(message)


def test_a_task_says_for_whom_what_and_until_when(receiver: Receiver, make: Callable[..., Channel]) -> None:
    make("crm", queue="calls").send(MESSAGE)
    assert receiver.bodies == [
        {"external_id": "k1", "queue": "calls", "medium": "sms", "text": "送您礼券", "customer_id": "c1",
         "campaign": "voucher", "offers": OFFERS, "valid_until": "2017-12-15"}
    ]  # fmt: skip


def test_a_coupon_is_ordered_under_the_messages_key_and_its_code_is_the_receipt(
    receiver: Receiver, make: Callable[..., Channel]
) -> None:
    receiver.answer_body = b'{"code": "WELCOME-77"}'
    assert make("coupon").send(MESSAGE) == Receipt(key="k1", reference="WELCOME-77")
    assert receiver.bodies == [
        {"key": "k1", "customer_id": "c1", "campaign": "voucher", "valid_until": "2017-12-15", "kind": "coupon",
         "amount": 10.0}
    ]  # fmt: skip
    with pytest.raises(RefusedError, match="offers nothing"):
        make("coupon").send(Message(key="k2", channel="coupon", body=BODY, moment=AT))


LETTER = Message(key="k1", channel="email", body=MESSAGE.body, moment=AT, address="ann@example.org")


@pytest.fixture
def make_mailer(mail_server: MailServer, tmp_path: Path) -> Callable[..., Channel]:
    def make_mailer(**changes: object) -> Channel:
        settings = {"host": "127.0.0.1", "port": mail_server.server_address[1], "security": "none",
                    "sender": "news@shop.example", "deadline_seconds": 0.4}  # fmt: skip
        return build_channels({"smtp": settings | changes}, folder=tmp_path, secrets={})["email"]

    return make_mailer


def test_a_letter_is_written_in_the_customers_language(
    mail_server: MailServer, make_mailer: Callable[..., Channel]
) -> None:
    receipt = make_mailer(unsubscribe="stop@shop.example").send(LETTER)
    (letter,) = mail_server.letters
    assert receipt == Receipt(key="k1", reference="queued as 77")
    assert mail_server.recipients == ["rcpt TO:<ann@example.org>"]
    assert "Message-ID: <k1@shop.example>" in letter
    assert "List-Unsubscribe: <mailto:stop@shop.example?subject=unsubscribe>" in letter
    assert base64.b64encode("送您礼券\r\n".encode()).decode() in letter


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("EHLO", "lose", NotDeliveredError),
        ("RCPT", "450 busy", NotDeliveredError),
        ("RCPT", "550 no such user", RefusedError),
        ("RCPT", "lose", NotDeliveredError),
        ("MAIL", "wait", NotDeliveredError),
        ("MAIL", "endless", NotDeliveredError),
        ("END", "451 later", NotDeliveredError),
        ("END", "554 no", RefusedError),
        ("END", "lose", UnclearError),
        ("END", "wait", UnclearError),
    ],
)
def test_what_a_mail_server_answers_is_taken_for_what_it_means(
    command: str, answer: str, error: type[Exception], mail_server: MailServer, make_mailer: Callable[..., Channel]
) -> None:
    mail_server.answers = {command: answer}
    begun = time.monotonic()
    with pytest.raises(error):
        make_mailer().send(LETTER)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("address", ["ann", "ann@example.org\r\nBcc: all@example.org", "a@b <c@d>", None])
def test_an_address_that_is_none_is_refused_before_the_server_hears_of_it(
    address: str | None, mail_server: MailServer, make_mailer: Callable[..., Channel]
) -> None:
    with pytest.raises(RefusedError):
        make_mailer().send(Message(key="k1", channel="email", body=MESSAGE.body, moment=AT, address=address))
    assert mail_server.recipients == []


def test_a_mail_server_cannot_be_asked(make_mailer: Callable[..., Channel]) -> None:
    channel = make_mailer()
    assert not channel.is_askable
    with pytest.raises(UnclearError):
        channel.find("k1")


@pytest.mark.parametrize("action", ["500", "lose", "wait", "404"])
def test_a_chat_room_gets_the_text_once_and_is_believed_only_when_it_says_so(
    action: str, receiver: Receiver, tmp_path: Path
) -> None:
    room = receiver.address.replace("http", "json", 1)
    settings = {"chat": {"address": "ROOM", "deadline_seconds": 2}}
    channel = build_channels(settings, folder=tmp_path, secrets={"ROOM": room})["chat"]
    message = Message(key="k1", channel="chat", body={"text": "Ann Beck: 3 alerts"}, moment=AT)
    assert channel.send(message).key == "k1"
    receiver.always = action
    with pytest.raises(UnclearError):
        channel.send(message)
    assert [body["message"] for body in receiver.bodies] == ["Ann Beck: 3 alerts"]
    late = time.monotonic() + 10  # a busy receiver sees a call after its caller has given it up
    while len(receiver.requests) < 2 and time.monotonic() < late:
        time.sleep(0.01)
    assert len(receiver.requests) == 2
    with pytest.raises(UnclearError):
        channel.find("k1")


def test_an_address_of_no_chat_service_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="is no address that apprise knows") as fault:
        build_channels({"chat": {"address": "ROOM"}}, folder=tmp_path, secrets={"ROOM": "carrier-pigeon://token"})
    assert "token" not in str(fault.value)


def test_without_settings_everything_goes_to_the_built_in_gateway(tmp_path: Path) -> None:
    channels = build_channels({}, folder=tmp_path, secrets={})
    assert list(channels) == ["*"]
    assert isinstance(channels["*"], GatewayChannel)


def test_media_are_shared_out_among_channels(tmp_path: Path) -> None:
    settings = {"file": {}, "webhook": {"url": "https://example.org/in", "media": ["sms", "phone"], "per_minute": 60}}
    channels = build_channels(settings, folder=tmp_path, secrets={})
    assert channels["sms"] is channels["phone"]
    assert (channels["sms"].per_minute, channels["*"].per_minute) == (60, None)
    assert isinstance(channels["*"], FileChannel)


SMTP = {"host": "mail.example.org", "sender": "news@example.org"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pigeon": {}}, r"The channel 'pigeon' in company\.yaml is unknown; use one of \['.*coupon', 'crm', 'file', "),
        ({"webhook": {}}, "`channels.webhook.url` is missing; add it"),
        ({"webhook": {"url": "ftp://x"}}, "cannot hold 'ftp://x': it is no http or https address; correct the value"),
        ({"webhook": {"url": "https://example.org/in box"}}, "an address holds no space"),
        ({"webhook": {"url": "https://x\n/"}}, "an address holds no space and no control character"),
        ({"webhook": {"url": "https:///path"}}, "it is no http or https address"),
        ({"webhook": {"url": "https://x:port/"}}, "cannot hold 'https://x:port/'"),
        ({"webhook": {"url": "https://ann:pw@x/"}}, "a password in an address is shown in logs"),
        ({"webhook": {"url": "http://x", "lookup_url": "http://x/all"}}, "it needs {key} where the key belongs"),
        ({"webhook": {"url": "http://x", "ulr": 1}}, r"`channels\.webhook\.ulr` is an unknown key; .*'lookup_url'"),
        ({"webhook": {"url": "http://x", "deadline_seconds": 0}}, r"deadline_seconds` cannot hold 0: input should be"),
        (
            {"webhook": {"url": "http://x", "token": "NOPE"}},
            "`channels.webhook.token` names 'NOPE', which is not among",
        ),
        (
            {"webhook": {"url": "http://x", "signing_keys": ["K"]}},
            "'K' .* is no signing key: it has fewer than 24 bytes",
        ),
        ({"sms": {"url": "http://x y"}}, r"`channels\.sms\.url` cannot hold 'http://x y'"),
        ({"smtp": SMTP | {"sender": "news"}}, r"`channels\.smtp\.sender` cannot hold 'news': it is no e-mail address"),
        ({"smtp": SMTP | {"host": "mail example"}}, "it is no host name"),
        ({"smtp": SMTP | {"password": "NOPE"}}, "`channels.smtp.password` names 'NOPE'"),
        ({"file": {}, "webhook": {"url": "http://x"}}, "Two channels in company.yaml take \\['\\*'\\]"),
    ],
)
def test_wrong_channel_settings_are_refused_with_key_and_fix(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ChannelError, match=message):
        build_channels(settings, folder=tmp_path, secrets={"K": "whsec_c2hvcnQ="})


def test_every_fault_of_the_channels_is_one_paragraph(tmp_path: Path) -> None:
    with pytest.raises(ChannelError) as caught:
        build_channels({"webhook": {"url": "x", "ulr": 1}, "pigeon": {}}, folder=tmp_path, secrets={})
    assert len(str(caught.value).split("\n\n")) == 3


PAPER = """
from retention.acting.channels.base import Channel, ChannelSettings, Receipt

class Settings(ChannelSettings):
    tray: int

    def open(self, *, folder, secrets):
        return PaperChannel(self.tray)

class PaperChannel(Channel):
    def __init__(self, tray):
        self.tray = tray

    def send(self, message):
        return Receipt(key=message.key, reference=f"tray {self.tray}")

    def find(self, key):
        return None
"""


def test_a_new_kind_of_channel_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "paper.py").write_text(PAPER, encoding="utf-8")
    monkeypatch.setattr(channels_package, "__path__", [*channels_package.__path__, str(tmp_path)])

    channels = build_channels({"file": {}, "paper": {"tray": 2, "media": ["mail"]}}, folder=tmp_path, secrets={})

    assert channels["mail"].send(MESSAGE) == Receipt(key="k1", reference="tray 2")
    with pytest.raises(ChannelError, match=r"use one of \[.*'paper', .*'webhook'\]"):
        build_channels({"pigeon": {}}, folder=tmp_path, secrets={})
