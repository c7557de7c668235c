"""The log of events as a topic of a broker that speaks the Kafka protocol, with a copy in a file next to the lane.

An event's position is its offset plus one. Offsets are kept with the effects in the operational store, never at the
broker. The copy knows the ids of events, so that one that was sent twice counts once, and lands in the warehouse.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from company.encryption import read_key
from serving.actor import InvalidRequestError
from serving.lane.log import FIELDS, Copied, LogAwayError, LogReplacedError, Read, Row, SqliteLog
from serving.lane.schema import read_events, write_event

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, Producer
    from confluent_kafka.admin import AdminClient

    from company.policy.lane import Broker

LOG = logging.getLogger("holdfast.lane")
_SECONDS = 10.0  # that a broker may take to answer
_POLL_SECONDS = 0.01
_PARTITION = 0
_CUSTOMER = FIELDS.index("customer_id")
_REFUSALS = ("_SSL", "_AUTHENTICATION")  # what waiting does not cure


class BrokerRefusedError(Exception):
    """The broker and the policy's settings do not fit; str() says which setting to look at, without any secret."""


class KafkaLog:
    """A topic of one partition: the order of its offsets is the order of events."""

    def __init__(self, broker: "Broker", *, secrets: Mapping[str, str], copy: Path, ahead_seconds: int) -> None:
        """Open the log; its topic is made where the broker has none. `ahead_seconds` is what the collector allows.

        Raises LogReplacedError for a topic of several partitions, LogAwayError when the broker is out of reach,
        BrokerRefusedError when its certificate, the sign-in or a property is wrong.
        """
        self._broker, self._topic, self._ahead = broker, broker.topic, 1000 * ahead_seconds
        self._refusal = ""
        self._settings = {**read_settings(broker, secrets), "error_cb": self._note_refusal}
        self._file, self._key = copy, read_key(secrets)
        self._id = self._open_topic()  # the broker's own, which a topic that is made anew under the name has not

    def append(self, rows: Sequence[Row], *, received_at: int) -> None:
        """Send events and wait until the broker has acknowledged each, by all of its replicas in step."""
        failed: list[KafkaError] = []

        def note(error: "KafkaError | None", _message: "Message") -> None:
            if error is not None:
                failed.append(error)

        for row in rows:
            self._producer.produce(
                self._topic, write_event(row), key=str(row[_CUSTOMER]), timestamp=received_at, on_delivery=note
            )
        if self._producer.flush(2 * _SECONDS) or failed:
            raise LogAwayError(f"The broker did not take {len(failed) or 'some'} events; send them again.")

    def read(self, *, after: int, limit: int) -> Sequence[Read]:
        """Return the next events behind a position, from the copy, which is continued where it ends."""
        if "_consumer" not in self.__dict__:
            self._complete_copy(limit)
        events = self._copy.read(after=after, limit=limit)
        if not events and self._continue_copy(limit):
            events = self._copy.read(after=after, limit=limit)
        copied = self._copy.read_copied()
        if copied is not None and 0 < after < copied.first - 1:
            raise self._lost(after, copied.first - 1)
        return events

    def last(self) -> int:
        """Return the position of the newest event, 0 when there is none."""
        self._require_same_topic()
        newest, copied = self._read_bounds()[1], self._copy.read_copied()
        return self._copy.last() if copied is not None and copied.upto >= newest else newest

    def issued(self) -> int:
        """Return the greatest position that was ever given: offsets outlive the events."""
        self._require_same_topic()
        return max(self._read_bounds()[1], self._copy.issued())

    def trim(self, *, before: int, upto: int) -> int:
        """Remove old events from the copy; how long the topic keeps them is the broker's."""
        return self._copy.trim(before=before, upto=upto)

    def close(self) -> None:
        """Let go of the broker and the copy."""
        for opened in (self.__dict__.get(name) for name in ("_consumer", "_watcher", "_copy")):
            if opened is not None:
                opened.close()

    @cached_property
    def _producer(self) -> "Producer":
        from confluent_kafka import Producer

        limits = {"message.timeout.ms": int(1000 * _SECONDS), "queue.buffering.max.messages": 1_000_000}
        return Producer({**self._settings, **limits, "acks": "all", "enable.idempotence": True})

    @cached_property
    def _admin(self) -> "AdminClient":
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            return AdminClient(self._settings)
        except KafkaException as error:  # a property that librdkafka does not take
            raise BrokerRefusedError(
                f"The settings of `policy: lane: broker` make no client: {error.args[0].str()}. Correct the property "
                "that this names, under `settings` or `secrets`."
            ) from None

    def _note_refusal(self, error: "KafkaError") -> None:
        if error.name() in _REFUSALS:
            self._refusal = error.str()

    def _require_trust(self) -> None:
        """Raise BrokerRefusedError where the broker's certificate or our sign-in was refused."""
        self._admin.poll(0)  # hands over what the connections met
        if self._refusal:
            raise BrokerRefusedError(
                f"No connection to {self._broker.servers} of `policy: lane: broker`: {self._refusal}. Where the "
                "certificate is refused, name the file of the authority that signed it as `ssl.ca.location` under "
                "`settings`, and the broker by the name in its certificate; where the sign-in is, look at "
                "`sasl.mechanism` and at the variables under `secrets`."
            )

    @cached_property
    def _copy(self) -> SqliteLog:
        return SqliteLog(self._file, key=self._key)

    @cached_property
    def _consumer(self) -> "Consumer":
        """What reads on from where the copy ends; an offset that the broker does not have any more is an error."""
        from confluent_kafka import TopicPartition

        consumer = self._make_consumer()
        copied = self._require_same_topic()
        oldest, _ = self._read_bounds()
        start = oldest if copied is None else copied.upto
        if start < oldest:
            raise self._lost(start, oldest)
        consumer.assign([TopicPartition(self._topic, _PARTITION, start)])
        return consumer

    @cached_property
    def _watcher(self) -> "Consumer":
        return self._make_consumer()

    def _make_consumer(self) -> "Consumer":
        from confluent_kafka import Consumer

        rules = {"group.id": "holdfast", "enable.auto.commit": False, "auto.offset.reset": "error"}
        return Consumer({**self._settings, **rules, "isolation.level": "read_committed"})

    def _require_same_topic(self) -> Copied | None:
        """Return how far the topic is copied. Raises LogReplacedError for another one under its name.

        Offsets begin anew in a topic that was made anew, and not every broker refuses one that it has not reached yet.
        """
        copied = self._copy.read_copied()
        if copied is not None and copied.log != self._find_id():
            raise self._replaced("is not there any more, or was made anew, since events of it had their effect")
        return copied

    def _find_id(self) -> str | None:
        from confluent_kafka import KafkaError, KafkaException

        with _in_reach():
            try:
                return str(self._describe_topic().topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
                return None

    def _read_bounds(self) -> tuple[int, int]:
        """Return the first offset that the topic still has, and the one behind its newest event."""
        from confluent_kafka import TopicPartition

        with _in_reach():
            bounds = self._watcher.get_watermark_offsets(TopicPartition(self._topic, _PARTITION), timeout=_SECONDS)
        if bounds is None:
            raise LogAwayError("The broker did not answer in time.")
        return bounds

    def _complete_copy(self, limit: int) -> None:
        """Copy what the topic has when this begins, so that a state made anew from the log misses nothing."""
        (oldest, newest), waits = self._read_bounds(), 0
        while self._copied_upto(oldest) < newest:
            waits = 0 if self._continue_copy(limit) else waits + 1
            if waits * _POLL_SECONDS > _SECONDS:
                raise LogAwayError(f"The broker does not give the events from {self._copied_upto(oldest) + 1} on.")

    def _copied_upto(self, otherwise: int) -> int:
        copied = self._copy.read_copied()
        return otherwise if copied is None else copied.upto

    def _continue_copy(self, limit: int) -> bool:
        """Copy what the topic has further; return whether there was anything."""
        first = self._consumer.poll(_POLL_SECONDS)
        if first is None:
            return False
        messages = [first, *self._consumer.consume(limit - 1, timeout=0)] if limit > 1 else [first]
        self._require_sound(messages)
        offsets = [_offset(message) for message in messages]
        copied = self._copy.read_copied()
        known = copied.first if copied else offsets[0] + 1
        self._copy.copy(self._read_messages(messages), Copied(log=self._id, first=known, upto=offsets[-1] + 1))
        return True

    def _read_messages(self, messages: "Iterable[Message]") -> Iterator[tuple[int, Row, int]]:
        """Yield positions, events and moments of receipt; what is no event is left out and reported by its offset."""
        for message in messages:
            offset, received_at = _offset(message), message.timestamp()[1]
            try:
                [row] = read_events(message.value() or b"", most=1, latest=received_at + self._ahead)
            except InvalidRequestError as fault:
                LOG.warning("The message at offset %s of %s was left out: %s", offset, self._topic, fault)
            else:
                yield offset + 1, row, received_at

    def _require_sound(self, messages: "Iterable[Message]") -> None:
        from confluent_kafka import KafkaError

        for error in (message.error() for message in messages):
            if error is None:
                continue
            if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.UNKNOWN_TOPIC_OR_PART}:  # noqa: SLF001
                raise self._replaced(f"has not the next event any more ({error.name()})")
            self.__dict__.pop("_consumer").close()  # the next begins where the copy ends: nothing is skipped
            raise LogAwayError(f"The broker answered {error.name()}.")

    def _open_topic(self) -> str:
        """Return the id of the topic, which is made where there is none."""
        from confluent_kafka import KafkaException
        from confluent_kafka.cimpl import NewTopic

        topics = [NewTopic(self._topic, num_partitions=1)]
        try:
            self._admin.create_topics(topics, request_timeout=_SECONDS)[self._topic].result(2 * _SECONDS)
        except KafkaException as error:
            # somebody else made it, or only the company's own people may
            LOG.debug("The topic was not made: %s", error.args[0].name())
            self._require_trust()
        with _in_reach():
            about = self._describe_topic()
        if len(about.partitions) != 1:
            raise LogReplacedError(
                f"The topic {self._topic} has {len(about.partitions)} partitions, between which events have no order. "
                "Name a topic of one partition under `policy: lane: broker`, and send a copy of the events there."
            )
        return str(about.topic_id)

    def _describe_topic(self) -> Any:  # noqa: ANN401 - the library does not declare what it describes
        from confluent_kafka import TopicCollection

        names = TopicCollection([self._topic])
        return self._admin.describe_topics(names, request_timeout=_SECONDS)[self._topic].result(2 * _SECONDS)

    def _lost(self, after: int, first: int) -> LogReplacedError:
        return LogReplacedError(
            f"The broker has forgotten the events {after + 1} to {first} of {self._topic}, which had no effect yet: "
            "the topic keeps them for too short a time. Let it keep them longer, bring these into the warehouse from "
            "where they came, and delete the row of lane_progress and the lane's files to begin anew."
        )

    def _replaced(self, how: str) -> LogReplacedError:
        return LogReplacedError(
            f"The topic {self._topic} {how}. Bring it back from a backup, or delete the row of lane_progress and the "
            "lane's files to begin anew."
        )


def read_settings(broker: "Broker", secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties of a client. Raises BrokerRefusedError when the environment has no secret of a name."""
    for name, variable in broker.secrets.items():
        if variable not in secrets:
            raise BrokerRefusedError(
                f"`lane.broker.secrets.{name}` names {variable!r}, which the environment does not have; set it."
            )
    named = {name: secrets[variable] for name, variable in broker.secrets.items()}
    return {"bootstrap.servers": broker.servers, "logger": LOG, **broker.settings, **named}


@contextmanager
def _in_reach() -> Iterator[None]:
    """Raise LogAwayError where the broker answers with an error, or not at all."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise LogAwayError(f"The broker answered {error.args[0].name()}.") from None


def _offset(message: "Message") -> int:
    offset = message.offset()
    assert offset is not None  # noqa: S101 - a message that was received has one
    return offset
