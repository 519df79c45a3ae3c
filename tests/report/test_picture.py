"""Pictures in tables: a PNG is drawn, and nothing else becomes markup."""

from __future__ import annotations

import base64

import pytest

from apograph.report.figures import table
from apograph.report.figures.picture import LONGEST, picture

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()


def test_a_png_becomes_an_image_with_its_name() -> None:
    shown = str(picture({"png": PNG, "label": 'a"<b'}))
    assert shown == f'<img src="data:image/png;base64,{PNG}" alt="a&#34;&lt;b" title="a&#34;&lt;b"/>'


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"png": 3},
        {"png": base64.b64encode(b"<svg onload=x>").decode()},
        {"png": PNG + '" onerror="x'},
        {"png": PNG + "A" * LONGEST},
    ],
)
def test_what_is_no_png_is_no_picture(value: object) -> None:
    assert picture(value) is None


def test_tables_show_pictures_on_the_page_and_names_on_the_terminal() -> None:
    data = {"columns": ["one", "two"], "rows": [[{"png": PNG, "label": "slip-1"}, 3]]}
    assert "<img " in str(table.page(data, "en"))
    assert table.plain(data, "en")[1].split() == ["slip-1", "3"]
