"""Items' pictures in the tables of a report."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image

from apograph.behaviour.pictures import illustrated, small_pictures
from apograph.findings import Conclusion, Exhibit, Finding, Message, Report
from apograph.report.figures.picture import picture


def test_tables_with_an_item_a_row_get_its_picture(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / "a.png")
    Image.effect_noise((400, 300), 90).save(tmp_path / "large.png")
    Image.effect_noise((40, 30), 90).convert("RGB").save(tmp_path / "photo.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    files = ("a.png", "large.png", "photo.jpg", "broken.jpg")
    rows = [{"item": Path(name).stem, "prompt": "?", "images": [name]} for name in files]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pictures = small_pictures(tmp_path / "items.jsonl")
    assert list(pictures) == ["a", "large", "photo"]
    small = [Image.open(io.BytesIO(base64.b64decode(pictures[name]))) for name in ("large", "photo")]
    assert [(image.format, image.size) for image in small] == [("PNG", (160, 120)), ("PNG", (40, 30))]
    assert all(picture({"png": data, "label": "x"}) for data in pictures.values())

    errors = Exhibit("table", {"columns": ["answers.item", "x"], "rows": [["a", 1], ["b", 2]]}, Message("m"))
    other = Exhibit("table", {"columns": ["x"], "rows": [["a"]]}, Message("m"))
    finding = Finding("f", "answers", Message("m"), exhibits=(errors, other))
    conclusion = Conclusion("undetermined", Message("m"))
    report = Report("1", "t", "now", (), {}, (), (finding,), (), conclusion)
    first, second = illustrated(report, pictures).findings[0].exhibits
    assert first.data["columns"] == ["answers.picture", "answers.item", "x"]
    assert first.data["rows"] == [[{"png": pictures["a"], "label": "a"}, "a", 1], [None, "b", 2]]
    assert second is other
