"""Messages as files, for a program that collects them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from company.encryption import read_key
from company.sealed_file import seal
from retention.acting.channels.base import Channel, ChannelSettings, Message, NotDeliveredError, Receipt


class Settings(ChannelSettings):
    """`folder` takes the messages; without it, the instance's own folder.

    Where the instance's files are encrypted, so are they, unless a program that collects them needs them `in_clear`.
    """

    folder: Path | None = None
    in_clear: bool = False

    def open(self, *, folder: Path, secrets: Mapping[str, str]) -> "FileChannel":
        """Return the channel."""
        return FileChannel(self.folder or folder, key="" if self.in_clear else read_key(secrets))


class FileChannel(Channel):
    """Writes one JSON file per message into `folder`, named by its key; a reader never sees half a file."""

    def __init__(self, folder: Path, *, key: str = "") -> None:
        """Keep the folder, which is made with the first message, and the key under which files are sealed."""
        self.folder, self._key = folder, key

    def send(self, message: Message) -> Receipt:
        """Write the message and rename it into place; raises NotDeliveredError when the folder cannot be written."""
        if (receipt := self.find(message.key)) is not None:
            return receipt
        content = {"key": message.key, "channel": message.channel, **message.body}
        if message.is_replay:
            content["replayed_for"] = message.moment.isoformat()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(message.key, json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True))
        except OSError as error:
            raise NotDeliveredError(f"the folder {self.folder} could not be written: {error.strerror}") from error
        return self._receipt(message.key)

    def find(self, key: str) -> Receipt | None:
        """Return the receipt of a message whose file is there."""
        return self._receipt(key) if self._path(key).exists() else None

    def _write(self, key: str, text: str) -> None:
        draft = self.folder / f".{key}.part"
        with draft.open("wb") as file:
            file.write(seal(text.encode(), key=self._key))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path(key))
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _receipt(self, key: str) -> Receipt:
        return Receipt(key=key, reference=self._path(key).name)
