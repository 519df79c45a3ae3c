"""The other end of ``release.sandbox``: a confined process that answers requests over two pipes.

A frame is a length (8 bytes, little-endian) and that many bytes of JSON. The first request names the paths
that may be read; every other names a public function below ``apograph.release`` and its arguments. A value
that is bytes travels as ``{"bytes": base64}``, any other as ``{"json": value}``. Nothing is ever pickled.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

from apograph import plain
from apograph.findings import Refusal
from apograph.release.confine import allow_seconds, confine

TARGET = re.compile(r"apograph\.release(\.[a-z][a-z0-9_]*)+:[a-z][a-z0-9_]*")
"""What may be called: a public function in a module below ``apograph.release``."""
LARGEST_FRAME = 512 << 20


def pack(value: object) -> dict[str, Any]:
    """A value as it travels."""
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    return {"json": plain.dump(value) if is_dataclass(value) else value}


def unpack(value: dict[str, Any]) -> Any:
    """The value that ``pack`` made."""
    return base64.b64decode(value["bytes"], validate=True) if "bytes" in value else value["json"]


def frame(message: dict[str, Any]) -> bytes:
    """A message as bytes, its length first. Raises ValueError for a number that JSON lacks."""
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(8, "little") + body


def main() -> None:
    """Serve until the parent closes the pipe. The two pipes are moved away from 0 and 1, so that no library
    can write into them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    first = _receive(requests)
    if first is None:
        return
    if first["git"]:
        import_module("pygit2")
    _send(answers, {"ok": pack(confine(first["roots"], first["memory"]))})
    while (request := _receive(requests)) is not None:
        allow_seconds(request["seconds"])
        answer = _answer(request)
        _send(answers, answer)
        if answer.get("refusal", {}).get("key") == "release.worker.memory":
            return  # what is left of the heap is not worth trusting


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = [unpack(argument) for argument in request["arguments"]]
        return {"ok": pack(_function(request["target"])(*arguments))}
    except Refusal as refusal:
        return {
            "refusal": {
                "code": refusal.code,
                "key": refusal.message.key,
                "params": dict(refusal.message.params),
                "path": refusal.path,
                "offset": refusal.offset,
            }
        }
    except MemoryError:
        return _refusal(5, "release.worker.memory")
    except RecursionError:
        return _refusal(2, "release.worker.deep")
    except Exception as error:  # a reader met something that it did not foresee: refused, never a traceback
        if os.environ.get("APOGRAPH_DEBUG"):
            import traceback

            return _refusal(2, "release.worker.failed", kind=traceback.format_exc())
        return _refusal(2, "release.worker.failed", kind=type(error).__name__)


def _refusal(code: int, key: str, **params: str) -> dict[str, Any]:
    return {"refusal": {"code": code, "key": key, "params": params, "path": "", "offset": None}}


def _function(target: str) -> Any:
    if not TARGET.fullmatch(target):
        raise ValueError(target)
    module, name = target.split(":")
    function = getattr(import_module(module), name)
    if getattr(function, "__module__", None) != module:
        raise ValueError(target)
    return function


def _receive(stream: Any) -> dict[str, Any] | None:
    start = stream.read(8)
    if len(start) < 8:
        return None
    length = int.from_bytes(start, "little")
    body = stream.read(length)
    return dict(json.loads(body)) if len(body) == length else None


def _send(fd: int, message: dict[str, Any]) -> None:
    try:
        data = frame(message)
    except (ValueError, TypeError):
        data = frame(_refusal(2, "release.worker.failed", kind="ValueError"))
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
