"""The routes: chat completions, models, health; who may call them, and how answers and errors are written."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Http
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apograph.findings import Message, Refusal
from apograph.minicpmv.engine import Engine, Piece
from apograph.minicpmv.server.request import Bad, Request, decoded, read
from apograph.minicpmv.server.worker import Job, Worker
from apograph.release.json_text import parse_json
from apograph.report.sentence import sentence

STATUS = {2: 400, 3: 400, 4: 400, 5: 413}  # a refusal's exit code as an HTTP status


@dataclass(frozen=True, slots=True)
class Settings:
    """``model``: the name that clients use. ``hosts``: names that the Host header may carry, without port.
    ``body``: the largest request in bytes. ``waiting``: the length of the line. ``patience``: seconds that
    stopping waits for the answer that is being given."""

    model: str
    token: str
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "[::1]"})
    body: int = 64 << 20
    waiting: int = 16
    max_tokens: int = 1024
    patience: float = 30.0


def make(engine: Engine, settings: Settings) -> Starlette:
    """The application, with the worker that owns the model."""
    server = Server(engine, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        server.worker.stop(settings.patience)

    routes = [
        Route("/health", server.health, methods=["GET"]),
        Route("/v1/models", server.guarded(server.models), methods=["GET"]),
        Route("/v1/chat/completions", server.guarded(server.chat), methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class Server:
    """The handlers of one model."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.worker = Worker(engine, settings.waiting)

    def guarded(
        self, handler: Callable[[Http], Awaitable[Response]]
    ) -> Callable[[Http], Awaitable[Response]]:
        """The handler behind the checks of host and token, its errors written as OpenAI's."""

        async def checked(http: Http) -> Response:
            try:
                self._admit(http)
                return await handler(http)
            except Bad as bad:
                return failure(bad)
            except Refusal as refusal:
                return failure(refused(refusal))
            except ClientDisconnect:
                return Response(status_code=499)

        return checked

    def _admit(self, http: Http) -> None:
        # A page in a browser can reach a loopback server under a name of its own (DNS rebinding).
        host = http.headers.get("host", "")
        name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
        if name.lower() not in self.settings.hosts:
            raise Bad(421, "wrong_host", "serve.bad.host")
        given = http.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, self.settings.token.encode()):
            raise Bad(401, "invalid_api_key", "serve.bad.token")

    async def health(self, _: Http) -> Response:
        """Alive, and how long the line is. Open to all: it tells nothing of anyone's requests."""
        state = {"status": "stopping" if self.worker.stopping else "ok", "present": self.worker.present}
        return JSONResponse(state, 503 if self.worker.stopping else 200)

    async def models(self, _: Http) -> Response:
        """The one model."""
        model = {"id": self.settings.model, "object": "model", "created": 0, "owned_by": "apograph"}
        return JSONResponse({"object": "list", "data": [model]})

    async def chat(self, http: Http) -> Response:
        """A chat completion, whole or streamed."""
        body = parse_json(await self._body(http), limit=self.settings.body)
        request = read(body, self.settings.model, self.settings.max_tokens)
        import asyncio

        job = Job(lambda: decoded(request, self.engine.picture), request.decoding, asyncio.get_running_loop())
        self.worker.submit(job)
        pieces = job.pieces()
        envelope = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": self.settings.model,
        }
        # The first piece is awaited before the status is sent, so that a bad picture is still an error.
        try:
            first = await anext(pieces)
        except (Bad, Refusal, OSError):
            raise
        except Exception:
            raise Bad(500, "internal_error", "serve.bad.internal") from None
        if request.stream:
            events = _events(first, pieces, envelope, request)
            return StreamingResponse(
                events, media_type="text/event-stream", headers={"cache-control": "no-store"}
            )
        return JSONResponse(await _whole(first, pieces, envelope))

    async def _body(self, http: Http) -> bytes:
        limit = self.settings.body
        declared = http.headers.get("content-length", "0")
        chunks, size = [], int(declared) if declared.isdigit() else 0
        if size > limit:
            raise Bad(413, "request_too_large", "serve.bad.size", limit=limit >> 20)
        size = 0
        async for chunk in http.stream():
            size += len(chunk)
            if size > limit:
                raise Bad(413, "request_too_large", "serve.bad.size", limit=limit >> 20)
            chunks.append(chunk)
        return b"".join(chunks)


def refused(refusal: Refusal) -> Bad:
    """A refusal of the model's own as an answer to the client."""
    bad = Bad(STATUS.get(refusal.code, 400), refusal.message.key.rpartition(".")[2], "serve.bad.object")
    bad.message = refusal.message
    return bad


def failure(bad: Bad) -> JSONResponse:
    """An error in OpenAI's form."""
    kinds = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
    error = {
        "message": words(bad.message),
        "type": kinds.get(bad.status, "invalid_request_error"),
        "code": bad.code,
    }
    headers = {"retry-after": "5"} if bad.status in (429, 503) else {}
    return JSONResponse({"error": error}, bad.status, headers)


def words(message: Message) -> str:
    """The sentence for the client."""
    return sentence(message)


def _usage(prompt: int, piece: Piece) -> dict[str, int]:
    made = len(piece.ids)
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


async def _whole(
    first: tuple[Piece, int], pieces: AsyncIterator[tuple[Piece, int]], envelope: dict[str, Any]
) -> dict[str, Any]:
    piece, prompt = first
    text = piece.text
    async for piece, _ in pieces:
        text += piece.text
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": piece.finish, "logprobs": None}
    return {**envelope, "object": "chat.completion", "choices": [choice], "usage": _usage(prompt, piece)}


async def _events(
    first: tuple[Piece, int],
    pieces: AsyncIterator[tuple[Piece, int]],
    envelope: dict[str, Any],
    request: Request,
) -> AsyncIterator[str]:
    """Server-sent events: the role, the text piece by piece, the end, then ``[DONE]``."""

    def event(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        chunk = {**envelope, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(chunk)}\n\n"

    yield event({"role": "assistant", "content": ""})
    piece, prompt = first
    try:
        yield event({"content": piece.text})
        while piece.finish is None:
            piece, _ = await anext(pieces)
            yield event({"content": piece.text})
        yield event({}, piece.finish)
        if request.usage:
            yield event(None, usage=_usage(prompt, piece))
    except Exception:
        # The status has gone out; the client learns of the failure from the stream.
        body = failure(Bad(500, "internal_error", "serve.bad.internal")).body
        yield f"data: {bytes(body).decode()}\n\n"
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]
    yield "data: [DONE]\n\n"
