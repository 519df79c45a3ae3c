"""Text from outside, made visible: nothing that a release says can steer a terminal, a page or an eye.

The terminal and the page show the same escapes. Markup is a separate matter: the page's templates escape
``<`` and ``&`` themselves, and the terminal never interprets markup.
"""

from __future__ import annotations

import unicodedata

# Printable by the Unicode tables, yet invisible: grapheme joiner, Hangul fillers, the empty braille cell.
_BLANK = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, limit: int | None = None) -> str:
    """``text`` with every character escaped that has no shape of its own, on one line.

    Escaped are the C0 and C1 controls, ESC, newlines and tabs, bidirectional controls, zero-width and other
    format characters, private and unassigned code points and lone surrogates, as ``\\n``, ``\\x1b``,
    ``\\u202e`` or ``\\U000e0001``. A backslash stays as it is. ``limit`` bounds the length of the result in
    characters; a cut is shown by an ellipsis.
    """
    if limit is not None and len(text) > limit:
        # Escaping never shortens, so what lies beyond limit + 1 cannot be shown.
        text = text[: limit + 1]
    if not (text.isprintable() and _BLANK.isdisjoint(text)):
        text = "".join(map(_character, text))
    if limit is not None and len(text) > limit:
        return text[: max(limit - 1, 0)] + "…"
    return text


def _character(c: str) -> str:
    if c not in _BLANK and (c.isprintable() or unicodedata.category(c) == "Zs"):
        return c
    if c in _SHORT:
        return _SHORT[c]
    code = ord(c)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
