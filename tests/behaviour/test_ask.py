import base64
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apograph.behaviour.ask import GIVE_UP, Reply, ask, prompt_hash, rendered
from apograph.behaviour.ask_endpoint import Endpoint, Pace
from apograph.behaviour.items import read_items
from apograph.findings import Message, Refusal
from tests.behaviour.server import said, serving
from tests.behaviour.write import jsonl, read_file


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def png() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(b"\0\0"))
        + part(b"IEND", b"")
    )


def some_items(folder: Path, n: int = 5) -> list[dict[str, Any]]:
    rows = [{"item": f"q{k}", "prompt": f"Number {k}?", "key": str(k)} for k in range(n)]
    return read_items(jsonl(folder / "items.jsonl", rows))


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint(url, "m", key="secret", first_pause=0.0, **more)


def asked(record: dict[str, Any]) -> str:
    content = record["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def test_answers_are_records_of_normal_form(tmp_path: Path) -> None:
    items = some_items(tmp_path)
    with serving(lambda body, _: (200, {}, said("about " + asked(body)))) as (url, seen):
        result = ask(endpoint(url), items, tmp_path, tmp_path / "out.jsonl")
    assert (result.answered, result.known, result.failed) == (5, 0, [])
    records = {record.item: record for record in read_file(tmp_path / "out.jsonl")}
    assert records["q3"].answer == "about Number 3?"
    assert records["q3"].identity == "h:" + items[3]["item_hash"]
    assert records["q3"].prompt_hash == prompt_hash(items[3])
    assert records["q3"].key == "3"
    row = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert row["decoding"]["temperature"] == 0
    assert row["revision"] == "m-1/fp"
    assert seen[0]["path"] == "/v1/chat/completions"
    assert seen[0]["headers"]["Authorization"] == "Bearer secret"
    assert seen[0]["body"]["max_tokens"] == 1024
    raw = (tmp_path / "out.jsonl.raw.jsonl").read_text().splitlines()
    assert len(raw) == 5
    assert "secret" not in "".join(raw)


def test_images_go_as_data_and_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    items = read_items(jsonl(tmp_path / "items.jsonl", [{"item": "p", "prompt": "Read.", "image": "a.png"}]))
    assert items[0]["image_hashes"] == [hashlib.sha256(png()).hexdigest()]
    with serving(lambda *_: (200, {}, said("text"))) as (url, seen):
        ask(endpoint(url), items, tmp_path, tmp_path / "out.jsonl")
    image, text = seen[0]["body"]["messages"][0]["content"]
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(png()).decode()
    assert text == {"type": "text", "text": "Read."}


@pytest.mark.parametrize("name", ["/etc/hostname", "../a.png", "a.txt", "none.png"])
def test_only_images_below_the_folder_are_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "sub" / "a.txt").write_text("secret")
    rows = [{"item": "p", "prompt": "Read.", "image": name}]
    with pytest.raises(Refusal) as caught:
        read_items(jsonl(tmp_path / "sub" / "items.jsonl", rows))
    assert caught.value.code == 2


def test_busy_servers_are_asked_again_with_growing_pauses(tmp_path: Path) -> None:
    def busy(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], bytes]:
        if number < 3:
            return 503, {}, b"busy"
        return (429, {"Retry-After": "7"}, b"slow down") if number == 3 else (200, {}, said("yes"))

    pauses: list[float] = []
    with serving(busy) as (url, _):
        model = Endpoint(url, "m", first_pause=2.0, sleep=pauses.append)
        assert ask(model, some_items(tmp_path, 1), tmp_path, tmp_path / "out.jsonl").answered == 1
    assert 1.0 <= pauses[0] <= 2.0 <= pauses[1] <= 4.0
    assert pauses[2] == 7.0 or 7.0 <= pauses[2] <= 8.0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl.raw.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == [503, 503, 429, 200]
    assert rows[0]["response"] == "busy"


def test_refused_requests_are_not_repeated_and_stay_unanswered(tmp_path: Path) -> None:
    with serving(lambda *_: (400, {}, b"no")) as (url, seen):
        result = ask(endpoint(url), some_items(tmp_path, 2), tmp_path, tmp_path / "out.jsonl")
        assert len(seen) == 2
    assert sorted(result.failed) == ["q0", "q1"]
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    with serving(lambda *_: (200, {}, said("took the key"))) as (other, caught):
        redirect = (302, {"Location": f"{other}/chat/completions"}, b"")
        with serving(lambda *_: redirect) as (url, _):
            result = ask(endpoint(url), some_items(tmp_path, 1), tmp_path, tmp_path / "out.jsonl")
        assert (result.failed, caught) == (["q0"], [])


def test_no_server_and_strange_answers(tmp_path: Path) -> None:
    strange = [b"", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}', b"\xff{"]
    items = some_items(tmp_path, 5)
    with serving(lambda body, _: (200, {}, strange[int(asked(body)[7])])) as (url, _):
        assert len(ask(endpoint(url), items, tmp_path, tmp_path / "out.jsonl").failed) == 5
    gone = Endpoint(url, "m", retries=1, first_pause=0.0)
    assert len(ask(gone, items[:1], tmp_path, tmp_path / "out.jsonl").failed) == 1


def test_a_dead_server_is_not_asked_every_item(tmp_path: Path) -> None:
    items = some_items(tmp_path, GIVE_UP + 40)
    with serving(lambda *_: (400, {}, b"no such model")) as (url, seen):
        found = ask(endpoint(url), items, tmp_path, tmp_path / "out.jsonl", concurrency=2)
    assert found.gave_up == "400 no such model"
    assert len(found.failed) == len(items)
    assert GIVE_UP <= len(seen) <= GIVE_UP + 10
    with serving(lambda body, _: (200, {}, said(asked(body)))) as (url, seen):
        found = ask(endpoint(url), items, tmp_path, tmp_path / "out.jsonl")
    assert (found.answered, found.gave_up) == (len(items), None)


def test_refusals_of_the_server_are_kept_apart(tmp_path: Path) -> None:
    filtered = said(None, finish_reason="content_filter")
    with serving(lambda *_: (200, {}, filtered)) as (url, _):
        ask(endpoint(url), some_items(tmp_path, 1), tmp_path, tmp_path / "out.jsonl")
    (record,) = read_file(tmp_path / "out.jsonl")
    assert record.state == "refusal"


def test_asking_again_goes_on_where_it_stopped(tmp_path: Path) -> None:
    items, out = some_items(tmp_path), tmp_path / "out.jsonl"
    with serving(lambda *_: (200, {}, said("x"))) as (url, seen):
        ask(endpoint(url), items[:3], tmp_path, out)
        whole = out.read_bytes()
        out.write_bytes(whole[:-10])  # the third record was being written when the machine stopped
        result = ask(endpoint(url), items, tmp_path, out)
        assert (result.known, result.answered, len(seen)) == (2, 3, 6)
        assert ask(endpoint(url), items, tmp_path, out).known == 5
        with pytest.raises(Refusal) as caught:
            ask(endpoint(url, max_tokens=7), items, tmp_path, out)
        assert caught.value.code == 4
    assert len(list(read_file(out))) == 5


class Echo:
    """A responder of one's own."""

    model = "echo"
    decoding: dict[str, Any] = {"how": "echo"}  # noqa: RUF012

    def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
        return Reply(prompt.splitlines()[-1], [], margin=0.25)


def test_the_fixed_template_and_a_responder_of_one_s_own(tmp_path: Path) -> None:
    rows = [{"item": "q", "prompt": "Which?", "options": ["cat", "dog"]}]
    items = read_items(jsonl(tmp_path / "items.jsonl", rows))
    assert rendered(items[0]).splitlines()[:3] == ["Which?", "A. cat", "B. dog"]
    ask(Echo(), items, tmp_path, tmp_path / "out.jsonl")
    (record,) = read_file(tmp_path / "out.jsonl")
    assert (record.model, record.options, record.margin) == ("echo", 2, 0.25)


def test_two_runs_never_write_one_file(tmp_path: Path) -> None:
    items, out = some_items(tmp_path, 1), tmp_path / "out.jsonl"

    class Nested(Echo):
        def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
            with pytest.raises(Refusal):
                ask(Echo(), items, tmp_path, out)
            return Reply("x", [])

    assert ask(Nested(), items, tmp_path, out).answered == 1


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_fault_of_one_answer_ends_the_asking(tmp_path: Path, concurrency: int) -> None:
    class Broken(Echo):
        def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
            raise Refusal(4, Message("answers.error.local_images"))

    with pytest.raises(Refusal):
        ask(Broken(), some_items(tmp_path), tmp_path, tmp_path / "out.jsonl", concurrency)


def test_an_interrupt_does_not_wait_for_the_server(tmp_path: Path) -> None:
    """The server never answers, and a request may take two minutes."""
    over = threading.Event()

    def silent(*_: object) -> tuple[int, dict[str, str], bytes]:
        over.wait()
        return 200, {}, b""

    some_items(tmp_path)
    with serving(silent) as (url, seen):
        words = ["ask", url, "items.jsonl", "--name", "m", "--out", "out.jsonl"]
        # What runs in the background of a shell, as these tests may, has interrupts ignored.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{heard}; from apograph.cli import main; main()", *words]
        asking = subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, env={**os.environ, "no_proxy": "*"}
        )
        while not seen and asking.poll() is None:
            time.sleep(0.05)
        asking.send_signal(signal.SIGINT)
        try:
            _, told = asking.communicate(timeout=90)
        finally:
            asking.kill()
            over.set()
    assert asking.returncode == 130
    assert told.decode().splitlines() == ["apograph: interrupted"]


def test_requests_keep_the_pace_those_tried_again_too(tmp_path: Path) -> None:
    now, pauses = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    busy = iter([503, 200, 200])
    pace = Pace(30, sleep, lambda: now[0])
    with serving(lambda body, _: (next(busy), {}, said("x"))) as (url, _):
        result = ask(endpoint(url, pace=pace), some_items(tmp_path, 2), tmp_path, tmp_path / "o.jsonl", 1)
    assert result.answered == 2
    assert pauses == [2.0, 2.0]  # the first of three requests goes out at once
