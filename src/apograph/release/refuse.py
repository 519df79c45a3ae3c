"""One way to refuse a file: a key of ``readers.toml``, the place, and parameters cut to a readable length."""

from __future__ import annotations

from apograph.findings import Message, Param, Refusal

_LONGEST = 100


def refuse(
    key: str, path: str = "", offset: int | None = None, /, *, code: int = 2, **params: Param
) -> Refusal:
    """The refusal ``readers.<key>``; text parameters, which are untrusted, are cut after 100 characters."""
    return Refusal(code, Message(f"readers.{key}", {k: _cut(v) for k, v in params.items()}), path, offset)


def _cut(value: Param) -> Param:
    if isinstance(value, str) and len(value) > _LONGEST:
        return value[: _LONGEST - 1] + "…"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"2^{value.bit_length() - 1}"
    return value
