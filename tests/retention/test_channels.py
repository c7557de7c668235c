import json
import socket
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from retention.acting import channels as channels_package
from retention.acting.channels import (
    AskLaterError,
    ChannelError,
    FileChannel,
    Message,
    NotDeliveredError,
    Receipt,
    RefusedError,
    UnclearError,
    WebhookChannel,
    build_channels,
)

MESSAGE = Message(key="k1", channel="sms", body={"text_zh": "送您礼券", "customer_id": "c1"})


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def make_webhook(receiver: ThreadingHTTPServer, pauses: list[float]) -> Callable[..., WebhookChannel]:
    def make(**changes: object) -> WebhookChannel:
        settings = {
            "url": receiver.address,
            "lookup_url": receiver.lookup,
            "sleep": pauses.append,
            "timeout_seconds": 5,
        }
        return WebhookChannel(**(settings | changes))

    return make


def test_a_file_holds_the_whole_message_under_its_key(tmp_path: Path) -> None:
    receipt = FileChannel(tmp_path / "out").send(MESSAGE)
    assert receipt == Receipt(key="k1", reference="k1.json")
    assert json.loads((tmp_path / "out" / "k1.json").read_text(encoding="utf-8")) == {
        "key": "k1",
        "channel": "sms",
        "text_zh": "送您礼券",
        "customer_id": "c1",
    }


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


def test_a_webhook_posts_the_message_with_its_idempotency_key(
    receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    channel = make_webhook(headers={"Authorization": "Bearer t"})
    assert channel.send(MESSAGE) == Receipt(key="k1", reference="http 201")
    assert receiver.bodies == [{"key": "k1", "channel": "sms", "text_zh": "送您礼券", "customer_id": "c1"}]
    _, headers = receiver.requests[0]
    assert (headers["Idempotency-Key"], headers["Authorization"]) == ("k1", "Bearer t")


@pytest.mark.parametrize("trouble", ["429", "503", "500", "lose", "take_and_500", "take_and_lose"])
def test_trouble_on_the_way_delivers_once_all_the_same(
    trouble: str, receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    receiver.script = [trouble]
    make_webhook().send(MESSAGE)
    assert receiver.taken == ["k1"]


@pytest.mark.parametrize("status", ["400", "401", "404", "409", "422", "302"])
def test_an_answer_that_will_never_change_is_not_tried_again(
    status: str, receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    receiver.script = [status]
    with pytest.raises(RefusedError, match=f"the receiver answered {status}"):
        make_webhook().send(MESSAGE)
    assert len(receiver.requests) == 1


def test_pauses_double_and_give_way_to_retry_after(
    receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel], pauses: list[float]
) -> None:
    receiver.script = ["503"] * 4
    with pytest.raises(NotDeliveredError, match="after 4 attempts the receiver answered 503"):
        make_webhook(pause_seconds=0.5).send(MESSAGE)
    assert pauses == [0.5, 1.0, 2.0]
    pauses.clear()
    receiver.script, receiver.retry_after = ["429"], "7"
    make_webhook().send(MESSAGE)
    assert pauses == [7.0]


def test_no_pause_is_longer_than_allowed(
    receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel], pauses: list[float]
) -> None:
    receiver.script, receiver.retry_after = ["429"], "86400"
    make_webhook(longest_pause_seconds=20).send(MESSAGE)
    assert pauses == [20]


@pytest.mark.parametrize("trouble", ["500", "lose", "take_and_lose"])
def test_without_lookup_or_idempotence_nobody_can_tell(
    trouble: str, receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    receiver.script = [trouble]
    with pytest.raises(UnclearError):
        make_webhook(lookup_url=None).send(MESSAGE)
    assert len(receiver.requests) == 1


def test_an_idempotent_receiver_is_simply_sent_the_key_again(
    receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    receiver.script = ["500"]
    make_webhook(lookup_url=None, is_idempotent=True).send(MESSAGE)
    assert [method for method, _ in receiver.requests] == ["POST", "POST"]


def test_a_lookup_that_is_down_leaves_the_question_for_later(
    receiver: ThreadingHTTPServer, make_webhook: Callable[..., WebhookChannel]
) -> None:
    receiver.script, receiver.lookup_script = ["take_and_500"], ["503"] * 4
    with pytest.raises(AskLaterError, match="it answered 503"):
        make_webhook().send(MESSAGE)
    assert make_webhook().find("k1") == Receipt(key="k1", reference="found, http 200")
    assert receiver.taken == ["k1"]


def test_a_receiver_that_is_not_there_means_not_delivered(pauses: list[float]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    channel = WebhookChannel(url=f"http://127.0.0.1:{port}/", sleep=pauses.append, attempts=2)
    with pytest.raises(NotDeliveredError, match="after 2 attempts the receiver could not be reached"):
        channel.send(MESSAGE)


def test_a_token_is_never_shown(make_webhook: Callable[..., WebhookChannel]) -> None:
    assert "secret" not in repr(make_webhook(headers={"Authorization": "Bearer secret"}))


def test_without_settings_everything_goes_to_files(tmp_path: Path) -> None:
    channels = build_channels({}, folder=tmp_path, secrets={})
    assert list(channels) == ["*"]
    assert isinstance(channels["*"], FileChannel)


def test_media_are_shared_out_among_channels(tmp_path: Path) -> None:
    settings = {"file": {}, "webhook": {"url": "https://example.org/in", "media": ["sms", "phone"], "token": "T"}}
    channels = build_channels(settings, folder=tmp_path, secrets={"T": "abc"})
    webhook = WebhookChannel(url="https://example.org/in", headers={"Authorization": "Bearer abc"})
    assert (channels["sms"], channels["phone"], sorted(channels)) == (webhook, webhook, ["*", "phone", "sms"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pigeon": {}}, r"The channel 'pigeon' in company\.yaml is unknown; use one of \['file', 'webhook'\]"),
        ({"webhook": {}}, "`channels.webhook.url` is missing; add it"),
        ({"webhook": {"url": "ftp://x"}}, "'ftp://x' is no http or https address"),
        ({"webhook": {"url": "http://x", "lookup_url": "http://x/all"}}, "needs {key} where the key belongs"),
        (
            {"webhook": {"url": "http://x", "ulr": 1}},
            r"`channels\.webhook\.ulr` is an unknown key; .*'lookup_url', 'media'",
        ),
        (
            {"webhook": {"url": "http://x", "attempts": 0}},
            r"`channels\.webhook\.attempts` cannot hold 0: input should be",
        ),
        ({"webhook": {"url": "http://x", "token": "NOPE"}}, "token 'NOPE' is not among the secrets"),
        ({"file": {}, "webhook": {"url": "http://x"}}, "Two channels in company.yaml take \\['\\*'\\]"),
    ],
)
def test_wrong_channel_settings_are_refused_with_key_and_fix(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ChannelError, match=message):
        build_channels(settings, folder=tmp_path, secrets={})


PAPER = """
from retention.acting.channels.base import ChannelSettings, Receipt

class Settings(ChannelSettings):
    tray: int

    def open(self, *, folder, secrets):
        return PaperChannel(self.tray)

class PaperChannel:
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
    with pytest.raises(ChannelError, match=r"use one of \['file', 'paper', 'webhook'\]"):
        build_channels({"pigeon": {}}, folder=tmp_path, secrets={})
