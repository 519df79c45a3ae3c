"""The server through the official client, on the tiny golden model, over a real socket."""

from __future__ import annotations

import base64
import http.client
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from PIL import Image

from apograph.minicpmv.engine import Engine, Piece
from apograph.minicpmv.generate import Decoding
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message
from apograph.minicpmv.server.app import Settings, make
from apograph.minicpmv.tokens import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
TOKEN = "a-token-for-the-tests"
QUESTION = "What is written in this image? List every word."


@contextmanager
def serving(engine: Engine, **settings: Any) -> Iterator[tuple[int, uvicorn.Server]]:
    app = make(engine, Settings(model="tiny", token=TOKEN, **settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=20))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def engine(model: Model, tokenizer: Tokenizer) -> Engine:
    return Engine(model, tokenizer)


@pytest.fixture
def port(engine: Engine) -> Iterator[int]:
    with serving(engine, body=8 << 20) as (port, _):
        yield port


def client(port: int, token: str = TOKEN) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=token, max_retries=0, timeout=60)


def data_url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def picture(name: str) -> dict[str, Any]:
    url = data_url((GOLDEN / "images" / f"{name}.png").read_bytes())
    return {"type": "image_url", "image_url": {"url": url}}


def asked(*parts: Any) -> list[Any]:
    content = [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts]
    return [{"role": "user", "content": content}]


def greedy(text: list[Any], tokens: int = 24) -> dict[str, Any]:
    return {"model": "tiny", "messages": text, "temperature": 0, "max_tokens": tokens}


def test_whole_and_streamed_answers_are_the_golden_ones(port: int, cases: Any, tokenizer: Tokenizer) -> None:
    for name in ("vga640x480", "square448"):
        expected = tokenizer.decode(cases[name]["generation"]["greedy"])
        whole = client(port).chat.completions.create(**greedy(asked(picture(name), QUESTION)))
        assert whole.choices[0].message.content == expected
        assert whole.choices[0].finish_reason == "length"
        assert whole.usage is not None
        assert whole.usage.prompt_tokens == len(cases[name]["input_ids"])
        assert whole.usage.completion_tokens == 24
        streamed = list(
            client(port).chat.completions.create(
                **greedy(asked(picture(name), QUESTION)), stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(c.choices[0].delta.content or "" for c in streamed if c.choices) == expected
        assert streamed[-1].usage == whole.usage
        assert [c.choices[0].finish_reason for c in streamed if c.choices][-1] == "length"


def test_a_conversation_with_a_system_prompt(port: int, cases: Any) -> None:
    history = [
        {"role": "system", "content": "You are a GUI agent."},
        *asked(picture("tall1to9_200x1800"), "What is written in this image?"),
        {"role": "assistant", "content": "The total amount is 42.50 !"},
        *asked("open the menu", picture("tiny100x60")),
    ]
    answer = client(port).chat.completions.create(**greedy(history, 8))
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(cases["chat_multi_turn_system"]["input_ids"])


def test_models_and_health(port: int) -> None:
    assert [m.id for m in client(port).models.list()] == ["tiny"]
    assert health(port) == {"status": "ok", "present": 0}


def test_eight_clients_get_their_own_answers(port: int, cases: Any, tokenizer: Tokenizer) -> None:
    names = ["square448", "tiny100x60", "small1to9_37x333", "vga640x480"] * 2

    def one(n: int) -> str | None:
        question = greedy(asked(picture(names[n]), QUESTION))
        if n % 2:
            chunks = client(port).chat.completions.create(**question, stream=True)
            return "".join(c.choices[0].delta.content or "" for c in chunks)
        return client(port).chat.completions.create(**question).choices[0].message.content

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert answers == [tokenizer.decode(cases[name]["generation"]["greedy"]) for name in names]


class Slow:
    """An engine whose answers wait for a signal."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.closed = threading.Event()
        self.begun = threading.Semaphore(0)

    def prompt(self, messages: list[Message], decoding: Decoding) -> Any:
        return type("Prompt", (), {"ids": (1, 2, 3), "text": messages[-1].parts[0]})

    def stream(self, prompt: Any, decoding: Decoding) -> Iterator[Piece]:
        self.begun.release()
        try:
            yield Piece("", ())
            while not self.go.wait(0.01):
                yield Piece(".", ())
            yield Piece(str(prompt.text), (7,), "stop")
        finally:
            self.closed.set()

    def picture(self, image: Any) -> Any:
        raise AssertionError


def test_beyond_the_line_requests_are_turned_away() -> None:
    slow = Slow()
    with serving(slow, waiting=2) as (port, _), ThreadPoolExecutor(8) as pool:  # type: ignore[arg-type]

        def one(n: int) -> str | None:
            try:
                answer = client(port).chat.completions.create(**greedy(asked(f"number {n}")))
                return answer.choices[0].message.content
            except openai.RateLimitError as error:
                return f"429, {error.response.headers['retry-after']}"

        running = [pool.submit(one, n) for n in range(8)]
        deadline = time.monotonic() + 30
        while sum(r.done() for r in running) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        slow.go.set()
        answers = [r.result(30) for r in running]
    assert answers.count("429, 5") == 5
    kept = [(n, a) for n, a in enumerate(answers) if a != "429, 5"]
    assert all(str(answer).endswith(f"number {n}") for n, answer in kept)


def test_stopping_finishes_what_was_accepted() -> None:
    slow = Slow()
    with serving(slow, waiting=4) as (port, server), ThreadPoolExecutor(2) as pool:  # type: ignore[arg-type]
        first = pool.submit(client(port).chat.completions.create, **greedy(asked("first")))
        assert slow.begun.acquire(timeout=20)
        second = pool.submit(client(port).chat.completions.create, **greedy(asked("second")))
        while health(port)["present"] < 2:
            time.sleep(0.01)
        server.should_exit = True
        time.sleep(0.1)
        slow.go.set()
        assert str(first.result(30).choices[0].message.content).endswith("first")
        assert str(second.result(30).choices[0].message.content).endswith("second")


def health(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/health")
    return json.loads(connection.getresponse().read())


def test_a_stopped_worker_turns_requests_away() -> None:
    import asyncio

    from apograph.minicpmv.server.request import Bad
    from apograph.minicpmv.server.worker import Job, Worker

    worker = Worker(Slow(), 1)  # type: ignore[arg-type]
    assert worker.stop(10)
    with pytest.raises(Bad) as bad:
        worker.submit(Job(list, Decoding(), asyncio.new_event_loop()))
    assert bad.value.status == 503


def test_a_client_that_leaves_stops_the_work() -> None:
    slow = Slow()
    with serving(slow) as (port, _):  # type: ignore[arg-type]
        chunks = client(port).chat.completions.create(**greedy(asked("x")), stream=True)
        next(iter(chunks))
        chunks.close()
        assert slow.closed.wait(20)
        slow.go.set()
        assert client(port).chat.completions.create(**greedy(asked("y"))).choices[0].message.content


def _huge_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


def _large_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (5000, 4000)).save(buffer, "PNG")
    return buffer.getvalue()


def _url(url: str) -> list[Any]:
    return asked({"type": "image_url", "image_url": {"url": url}}, "x")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"messages": _url(data_url(_huge_png()))}, 413, "bomb"),
        ({"messages": _url(data_url(_large_png()))}, 413, "pixels"),
        ({"messages": _url(data_url(b"nothing"))}, 400, "picture"),
        ({"messages": _url("data:image/png;base64,@@@")}, 400, "invalid_image_url"),
        ({"messages": _url("http://127.0.0.1/x.png")}, 400, "invalid_image_url"),
        ({"messages": _url("file:///etc/passwd")}, 400, "invalid_image_url"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_request"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "roles"),
        ({"messages": []}, 400, "invalid_request"),
        ({"messages": asked("word " * 9000)}, 413, "long"),
        ({"model": "other"}, 404, "model_not_found"),
        ({"n": 2}, 400, "unsupported_parameter"),
        ({"stop": ["x"]}, 400, "unsupported_parameter"),
        ({"temperature": 9}, 400, "invalid_request"),
        ({"max_tokens": 0}, 400, "invalid_request"),
        ({"max_tokens": 1.5}, 400, "invalid_request"),
        ({"seed": "x"}, 400, "invalid_request"),
        ({"stream": "yes"}, 400, "invalid_request"),
    ],
)
def test_bad_requests(change: dict[str, Any], status: int, code: str, port: int) -> None:
    answer = post(port, json.dumps({**greedy(asked("x"), 2), **change}).encode())
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert len(answer[1]["error"]["message"]) > 10


def post(port: int, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", **(headers or {})}
    connection.request("POST", "/v1/chat/completions", body, sent)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 5000, b'{"a":1,"a":2}'])
def test_malformed_json(body: bytes, port: int) -> None:
    assert post(port, body)[0] == 400


def test_a_body_that_is_too_large(port: int) -> None:
    assert post(port, b" " * ((8 << 20) + 1))[0] == 413


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer ", TOKEN + "x", "Bearer \xff"])
def test_a_wrong_token(token: str, port: int) -> None:
    status, answer = post(port, b"{}", {"authorization": token})
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 421), ("localhost:1", 400), ("127.0.0.1.evil.example", 421), ("[::1]:80", 400)],
)
def test_only_known_names_are_answered(host: str, status: int, port: int) -> None:
    assert post(port, b"[]", {"host": host})[0] == status
