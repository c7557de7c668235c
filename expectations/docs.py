"""Data Docs of a gate: one static site per seam, readable without a network."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import great_expectations as gx
from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

# The library's pages fetch styles, scripts and logos from eight foreign hosts when they are opened.
FOREIGN = re.compile(
    r"""<script\b.*?</script>|<(?:link|img)\b[^>]*\b(?:href|src)="https?://[^>]*>|\burl\(['"]?https?://[^)]*\)""",
    re.DOTALL,
)
SECTIONS = ("expectations", "validations", "profiling")
VIEWS = {"module_name": "expectations.views"}
STYLE = """<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0; } td, th { border: 1px solid #ddd; padding: .35rem .7rem; }
td, th { text-align: left; vertical-align: top; } ol.breadcrumb { list-style: none; display: flex; padding: 0; }
.modal, .cloud-footer, .sticky, button { display: none; } pre { white-space: pre-wrap; }
.fa-check-circle::before { content: "passed"; color: #1a7f37; } .fa-times::before { content: "failed"; color: #b42318; }
.fa-exclamation-triangle::before { content: "error"; color: #b54708; }
</style>
</head>"""


def new_context(folder: Path) -> EphemeralDataContext:
    """Return a context that lives in memory, reports to nobody and writes its pages under `folder`."""
    site = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": {**VIEWS, "class_name": "IndexPage"}},
        "site_section_builders": {name: {"view": {**VIEWS, "class_name": "Page"}} for name in SECTIONS},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"gate": site},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


@contextmanager
def build_pages(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write pages to; when the block ends well, they take the place of `folder`."""
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    for heavy in ("images", "fonts"):
        shutil.rmtree(draft / "static" / heavy, ignore_errors=True)
    for page in draft.rglob("*.html"):
        page.write_text(make_local(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def make_local(page: str) -> str:
    """Return the page without anything that a browser would fetch from another host."""
    return FOREIGN.sub("", page).replace("</head>", STYLE, 1)
