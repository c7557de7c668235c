"""Views of Data Docs that compile each of the library's page templates once per process, not once per page."""

from typing import Any, ClassVar

from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2.bccache import Bucket, BytecodeCache


class _InMemory(BytecodeCache):
    """Compiled templates by their key."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


class Page(DefaultJinjaPageView):
    """The page of a suite or of its results."""

    compiled: ClassVar[BytecodeCache] = _InMemory()

    def __init__(self, **folders: Any) -> None:  # noqa: ANN401 - the library's own arguments
        """Take the folders of a company's own templates and styles, of which we have none."""
        super().__init__(**folders)
        self.env.bytecode_cache = self.compiled


class IndexPage(DefaultJinjaIndexPageView, Page):
    """The page that lists the others."""
