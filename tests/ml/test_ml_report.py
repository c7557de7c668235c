import pytest

from ml.monitoring.drift_report import FOREIGN


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://x.y/z.js">',
        '@import"//x.y"',
        "<link rel=a href=//x.y>",
        "<style>@import url('https://x.y/z')",
        "url(http://x.y/z)",
    ],
)
def test_whatever_would_load_from_elsewhere_is_recognised(tag: str) -> None:
    assert FOREIGN.search(f"<html>{tag}</html>")


@pytest.mark.parametrize("text", ["url(data:font/ttf;base64,AA)", 'v.href="https://x.y/"', "<ie.length&&x<src"])
def test_what_loads_nothing_is_let_pass(text: str) -> None:
    assert FOREIGN.search(f"<html>{text}</html>") is None
