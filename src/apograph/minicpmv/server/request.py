"""A chat-completion request, read strictly: what is not supported is refused, not ignored.

The form is OpenAI's (platform.openai.com/docs/api-reference/chat). Pictures come as data: URLs only;
nothing is ever fetched.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from apograph.findings import Json, Param
from apograph.findings import Message as Words
from apograph.minicpmv.generate import Decoding
from apograph.minicpmv.image import MAX_FILE, open_picture
from apograph.minicpmv.prompt import Message, Role

MAX_PICTURES = 8
MAX_MESSAGES = 256
MAX_TOKENS = 4096
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_DATA_URL = re.compile(r"data:image/(?:png|jpeg|jpg|webp);base64,", re.IGNORECASE)
_NEUTRAL: Mapping[str, tuple[Json, ...]] = {
    "n": (1,), "stop": (None, []), "presence_penalty": (0,), "frequency_penalty": (0,), "logit_bias": ({},),
    "logprobs": (False,), "top_logprobs": (0,), "tools": ([],), "tool_choice": ("none", "auto"),
    "functions": ([],), "response_format": ({"type": "text"},),
}  # fmt: skip
"""Fields that cannot be honoured, with the values that ask for nothing."""


class Bad(Exception):  # noqa: N818 - the client's fault, told to it
    """A request that is answered with an error: HTTP ``status``, OpenAI's ``code``, and words."""

    def __init__(self, status: int, code: str, key: str, **params: Param) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = Words(key, params)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as it came: not decoded yet."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. ``messages`` hold :class:`Encoded` pictures until :func:`decoded`."""

    messages: tuple[tuple[Role, tuple[str | Encoded, ...]], ...]
    decoding: Decoding
    stream: bool
    usage: bool


def read(body: Json, model: str, default_tokens: int) -> Request:
    """Check a request's body. Raises Bad: 404 for another model's name, else 400 or 413."""
    if not isinstance(body, dict):
        raise Bad(400, "invalid_request", "serve.bad.object")
    if body.get("model") != model:
        raise Bad(404, "model_not_found", "serve.bad.model", model=str(body.get("model"))[:100], known=model)
    for field, neutral in _NEUTRAL.items():
        if body.get(field) is not None and body[field] not in neutral:
            raise Bad(400, "unsupported_parameter", "serve.bad.unsupported", field=field)
    listed = body.get("messages")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_MESSAGES:
        raise Bad(400, "invalid_request", "serve.bad.messages", limit=MAX_MESSAGES)
    messages = tuple(_message(entry) for entry in listed)
    pictures = sum(isinstance(part, Encoded) for _, parts in messages for part in parts)
    if pictures > MAX_PICTURES:
        raise Bad(400, "too_many_images", "serve.bad.pictures", n=pictures, limit=MAX_PICTURES)
    stream, options = body.get("stream") or False, body.get("stream_options") or {}
    if not isinstance(stream, bool) or not isinstance(options, dict):
        raise Bad(400, "invalid_request", "serve.bad.field", field="stream")
    return Request(messages, _decoding(body, default_tokens), stream, options.get("include_usage") is True)


def _decoding(body: Mapping[str, Json], default_tokens: int) -> Decoding:
    """The published sampling preset, changed by the request; temperature 0 is greedy."""
    field = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    tokens = _number(body, field, default_tokens, 1, MAX_TOKENS)
    temperature = _number(body, "temperature", 0.7, 0, 2)
    seed = body.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 1 << 63):
        raise Bad(400, "invalid_request", "serve.bad.field", field="seed")
    if tokens != int(tokens):
        raise Bad(400, "invalid_request", "serve.bad.field", field=field)
    return Decoding(
        max_new_tokens=int(tokens),
        sample=temperature >= 0.01,  # below that, division by it would only overflow
        temperature=temperature,
        top_p=_number(body, "top_p", 0.8, 0, 1),
        repetition_penalty=1.05 if temperature >= 0.01 else 1.0,
        seed=seed,
    )


def _number(body: Mapping[str, Json], field: str, default: float, low: float, high: float) -> float:
    value = body.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Bad(400, "invalid_request", "serve.bad.range", field=field, low=low, high=high)
    return float(value)


def _message(entry: Json) -> tuple[Role, tuple[str | Encoded, ...]]:
    role = _ROLES.get(str(entry.get("role"))) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or role is None:
        raise Bad(400, "invalid_request", "serve.bad.role")
    content = entry.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise Bad(400, "invalid_request", "serve.bad.content")
    return cast(Role, role), tuple(_part(part, role) for part in content)


def _part(part: Json, role: str) -> str | Encoded:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if isinstance(part, dict) and part.get("type") == "image_url" and role == "user":
        given = part.get("image_url")
        url = given.get("url") if isinstance(given, dict) else given
        if isinstance(url, str):
            return _picture(url)
    raise Bad(400, "invalid_request", "serve.bad.content")


def _picture(url: str) -> Encoded:
    found = _DATA_URL.match(url)
    if found is None:
        raise Bad(400, "invalid_image_url", "serve.bad.url")
    if (len(url) - found.end()) // 4 * 3 > MAX_FILE:
        raise Bad(413, "image_too_large", "minicpmv.refused.picture_size", limit=MAX_FILE >> 20)
    try:
        return Encoded(base64.b64decode(url[found.end() :], validate=True))
    except (binascii.Error, ValueError):
        raise Bad(400, "invalid_image_url", "serve.bad.base64") from None


def decoded(request: Request, prepare: Any) -> list[Message]:
    """The messages with their pictures opened and ``prepare``-d. Raises Refusal as ``open_picture`` does."""
    return [
        Message(role, tuple(prepare(open_picture(p.content)) if isinstance(p, Encoded) else p for p in parts))
        for role, parts in request.messages
    ]
