"""A small picture within a table's cell: ``{"png": base64, "label": text}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from apograph.report.escape import visible
from apograph.report.markup import element

LONGEST = 65_536
"""Characters of base64."""
_PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")


def picture(value: Any) -> Markup | None:
    """The picture, or None for anything else, which is shown as text: a saved report may hold anything."""
    if not isinstance(value, Mapping) or not isinstance(value.get("png"), str):
        return None
    data = value["png"]
    if len(data) > LONGEST or not _PNG.fullmatch(data):
        return None
    label = visible(str(value.get("label", "")), 200)
    return element("img", src=f"data:image/png;base64,{data}", alt=label, title=label)
