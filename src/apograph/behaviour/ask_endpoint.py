"""A model behind an OpenAI-compatible endpoint (``POST …/chat/completions``), text and images."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from apograph.behaviour.ask import Reply
from apograph.behaviour.items import media_type, read_image
from apograph.findings import Refusal
from apograph.release.json_text import parse_json

MAX_RESPONSE = 8 << 20
RETRIES = 6
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key elsewhere: it is an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(slots=True)
class Pace:
    """At most ``per_minute`` requests a minute from all threads together, evenly spaced; 0: no limit."""

    per_minute: int = 0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Return when the next request may go out."""
        if not self.per_minute:
            return
        with self._lock:
            now = self.clock()
            due = max(self._next, now)
            self._next = due + 60 / self.per_minute
        if due > now:
            self.sleep(due - now)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url`` is the base that ends in ``/v1``. ``key`` goes into the Authorization header and nowhere else.

    Greedy: temperature 0, top_p 1, a fixed seed where the server knows one. Busy servers (429, 5xx), timeouts
    and broken connections are tried again after a growing pause (doubling from half a second, with jitter;
    the server's Retry-After is followed up to a minute). ``pace`` bounds all requests, those tried again too.
    """

    url: str
    model: str
    key: str = ""
    max_tokens: int = 1024
    timeout: float = 120.0
    retries: int = RETRIES
    first_pause: float = FIRST_PAUSE
    sleep: Callable[[float], None] = time.sleep
    pace: Pace = field(default_factory=Pace)

    @property
    def decoding(self) -> dict[str, Any]:
        """What is asked for besides the prompt."""
        return {"temperature": 0, "top_p": 1, "seed": 0, "max_tokens": self.max_tokens}

    def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
        """One answer; see ``behaviour.ask.Responder``."""
        body = json.dumps(
            {"model": self.model, "messages": [_message(prompt, images)], **self.decoding}
        ).encode()
        attempts: list[dict[str, Any]] = []
        for attempt in range(self.retries + 1):
            self.pace.wait()
            status, text, wait = self._post(body)
            attempts.append({"status": status, "at": round(time.time(), 3), "response": text})
            if status == 200:
                return _reply(text, attempts)
            if status not in (0, *_AGAIN) or attempt == self.retries:
                break
            pause = min(LONGEST_PAUSE, self.first_pause * 2**attempt) * random.uniform(0.5, 1.0)
            self.sleep(min(LONGEST_PAUSE, max(pause, wait)))
        return Reply(None, attempts)

    def _post(self, body: bytes) -> tuple[int, str, float]:
        """Status (0: no answer), text and seconds that the server asks to wait."""
        headers = {"Content-Type": "application/json", "User-Agent": "apograph"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout) as response:
                data = response.read(MAX_RESPONSE + 1)
                status = int(response.status) if len(data) <= MAX_RESPONSE else 413
                return status, data[:MAX_RESPONSE].decode("utf-8", "replace"), 0.0
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(65536).decode("utf-8", "replace")
            return error.code, text, _seconds(error.headers.get("Retry-After"))
        except (OSError, HTTPException, ValueError) as error:
            return 0, f"{type(error).__name__}: {error}", 0.0


def _message(prompt: str, images: Sequence[Path]) -> dict[str, Any]:
    if not images:
        return {"role": "user", "content": prompt}
    parts: list[dict[str, Any]] = []
    for path in images:
        data = read_image(path.parent, path.name)
        url = f"data:{media_type(data)};base64,{base64.b64encode(data).decode('ascii')}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": [*parts, {"type": "text", "text": prompt}]}


def _reply(text: str, attempts: list[dict[str, Any]]) -> Reply:
    """What the response says; a response without a message leaves the item unanswered."""
    try:
        found: Any = parse_json(text.encode("utf-8"))
        choice = found["choices"][0]
        message = choice["message"]
        said = message.get("content")
        refused = message.get("refusal") or choice.get("finish_reason") == "content_filter"
        truncated = choice.get("finish_reason") == "length"
        revision = "/".join(str(found[name]) for name in ("model", "system_fingerprint") if found.get(name))
    except (Refusal, KeyError, IndexError, TypeError, AttributeError):
        return Reply(None, attempts)
    if not isinstance(said, str):
        said = message["refusal"] if isinstance(message.get("refusal"), str) else "" if refused else None
    return Reply(said, attempts, "refusal" if refused else "", revision, truncated)


def _seconds(value: str | None) -> float:
    return float(value) if value is not None and value.strip().isdecimal() else 0.0
