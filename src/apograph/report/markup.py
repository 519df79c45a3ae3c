"""Elements of a page, built so that no text can become markup."""

from __future__ import annotations

from typing import TypeAlias

from markupsafe import Markup, escape

from apograph.report.escape import visible

Child: TypeAlias = Markup | str | int | float | None
_VOID = frozenset({"br", "rect", "line", "circle", "path", "col", "img", "wbr"})


def safe(value: object) -> Markup:
    """``value`` as page text: markup made here stays as it is, all else is made visible and escaped."""
    return value if isinstance(value, Markup) else escape(visible(str(value)))


def element(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """``<tag attribute="value">children</tag>``.

    ``tag`` and the names of attributes are ours, never from a release; a trailing underscore is dropped and
    the others become hyphens (``class_``, ``aria_label``). True gives a bare attribute; False and None give
    none. Numbers are written with at most four decimals.
    """
    opening = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(*children)}</{tag}>")


def join(*children: Child) -> Markup:
    """Children one after the other; None is nothing."""
    return Markup("").join(safe(child) for child in children if child is not None)


def _attribute(name: str, value: str | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        value = f"{value:.4f}".rstrip("0").rstrip(".")
    return f' {name}="{safe(value)}"'
