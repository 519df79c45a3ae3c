"""The command ``inspect``: what it shows, and what it says of hostile input, through the real program."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apograph.cli import call
from tests.release.gguf_files import gguf, pair, tensor
from tests.release.repos import FILE, Repo, pointer
from tests.release.test_checkpoint import index, safetensors
from tests.release.test_git import bomb
from tests.release.test_parts import write

DEEP = b"[" * 200_000 + b"]" * 200_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write(
        tmp_path / "model",
        {
            "config.json": {"model_type": "m", "architectures": ["M"], "hidden_size": 8},
            "generation_config.json": {},
            "model.safetensors": safetensors(**{"a.x": [2, 3], "a.y": [4], "b": []}),
            "tokenizer_config.json": {"bos_token": "<s>\x1b[31m", "chat_template": "{{ x }}"},
            "README.md": b"---\nlicense: mit\n---\n",
            "vision.bin": pointer(),
        },
    )
    return tmp_path / "model"


def test_a_page_of_80_columns(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["inspect", str(model)]) == 0
    page, errors = capsys.readouterr()
    assert errors == ""
    assert max(map(len, page.splitlines())) <= 80 + len(str(model))
    assert "\x1b" not in page
    lines = [" ".join(line.split()) for line in page.splitlines()]
    for line in (
        "model_type m",
        "others generation_config.json",
        "number 6: 5 here, 1 as pointers, 0 missing, 0 refused",
        "parameters 11",
        "types 3 F32",
        "top level a 2, b 1",
        "special bos_token <s>\\x1b[31m",
        "chat template 7 characters",
        "license mit",
    ):
        assert line in lines, page


def test_the_same_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["inspect", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"]["content"] == {"present": 5, "lfs": 1}
    assert told["tensors"]["top"] == {"a": {"n": 2, "parameters": 10}, "b": {"n": 1, "parameters": 1}}
    assert told["config"]["values"] == {"model_type": "m", "architectures": ["M"], "hidden_size": 8}
    assert told["card"] == {"path": "README.md", "declared": {"license": "mit"}}
    assert told["history"] is None
    assert told["faults"] == []


def test_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repo = Repo(tmp_path / "repo")
    first = repo.commit({"a.py": b"1"}, time=0)
    repo.commit(repo.entries((FILE, b"a.py", repo.blob(b"2"))), first, time=86400)
    repo.ref("refs/tags/v[red]", first)
    assert call(["inspect", str(repo.path)]) == 0
    page = capsys.readouterr().out
    assert "  commits         2\n" in page
    assert "  time            1970-01-01 00:00:00 UTC to 1970-01-02 00:00:00 UTC\n" in page
    assert "  contents        2 versions of 1 file\n" in page
    assert "  branches, tags  main, v[red]\n" in page


def folder(files: dict[str, object]) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        write(place / "m", {"ok.py": b"x = 1\n", **files})
        return place / "m"

    return make


def fifo(place: Path) -> Path:
    made = folder({})(place)
    os.mkfifo(made / "model.safetensors")
    return made


def sparse(place: Path) -> Path:
    made = folder({"model.safetensors": struct.pack("<Q", 1 << 40)})(place)
    os.truncate(made / "model.safetensors", 2 << 40)
    return made


def hostile_git(place: Path) -> Path:
    made = folder({})(place)
    repo = Repo(place / "r")
    repo.commit({"ok.py": b"x = 1\n"}, time=1)
    repo.path.rename(made / ".git")
    script = place / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {place}/canary\n")
    script.chmod(0o755)
    (made / ".git/config").write_text(
        f"[core]\nfsmonitor={script}\nhooksPath={place}\n[include]\npath=/etc/hostname\n"
    )
    (made / "setup.py").write_text(f"open('{place}/canary', 'w')\n")
    (made / "sitecustomize.py").write_text(f"open('{place}/canary', 'w')\n")
    return made


def alternates(place: Path) -> Path:
    made = hostile_git(place)
    (made / ".git/objects/info/alternates").write_text("/\n")
    return made


def tree_bomb(place: Path) -> Path:
    repo = Repo(place / "r")
    repo.commit(bomb(repo, {"f.py": b"x"}), time=1)
    return repo.path


def missing(place: Path) -> Path:
    return place / "nothing"


SPLIT = gguf((pair("split.count", 2, struct.pack("<H", 7)),), (tensor("a", (8,), 0, 0),), b"\0" * 32)
ABSURD = b'{"num_hidden_layers": 1000000000000, "hidden_size": -5, "vocab_size": "4096", "num_heads": null}'
REMOTE = b'{"auto_map": {"AutoModel": "evil.M", "AutoConfig": "x/y--evil.C"}, "trust_remote_code": true}'
CASES: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "missing path": (missing, 4, "no such file or folder"),
    "nothing of a model": (lambda p: Path(write(p / "m", {"a.txt": b"x"})["path"]), 3, "nothing that can be"),
    "truncated header": (folder({"model.safetensors": b"\x40\0\0\0\0\0\0\0{"}), 2, ""),
    "missing shard": (
        folder(
            {
                "model.safetensors.index.json": index(a="1.safetensors", b="2.safetensors"),
                "1.safetensors": safetensors(a=[1]),
            }
        ),
        2,
        "not among the files",
    ),
    "shard outside": (folder({"model.safetensors.index.json": index(a="../x")}), 2, ""),
    "duplicate tensor": (
        folder({"model.safetensors": struct.pack("<Q", 20) + b'{"a":1,"a":2}       '}),
        2,
        "",
    ),
    "GGUF of 10^12 entries": (folder({"m.gguf": b"GGUF" + struct.pack("<IQQ", 3, 10**12, 1)}), 2, ""),
    "deep JSON": (folder({"config.json": DEEP, "tokenizer.json": DEEP}), 2, ""),
    "parts that the header denies": (folder({"m.gguf": SPLIT}), 2, "announces 7 parts"),
    "weights in gzip": (folder({"pytorch_model.bin": b"\x1f\x8b" + b"\0" * 60}), 2, "its content is gzip"),
    "weights of another library": (folder({"model.onnx": b"\x08\x07"}), 0, "not examined"),
    "aliases in a card": (folder({"README.md": b"---\na: &a [x]\nb: [*a, *a]\n---\n"}), 2, "anchor"),
    "a tag in a card": (
        folder({"README.md": b"---\na: !!python/object/apply:os.system [x]\n---\n"}),
        2,
        "tag",
    ),
    "absurd numbers": (folder({"config.json": ABSURD}), 0, ""),
    "lone surrogates": (
        folder({"config.json": b'{"model_type": "\\ud800", "architectures": ["\\udfff"]}'}),
        0,
        "",
    ),
    "code in the configuration": (folder({"config.json": REMOTE, "evil.py": b"open('canary', 'w')"}), 0, ""),
    "FIFO": (fifo, 2, "not a regular file"),
    "sparse terabytes": (sparse, 2, ""),
    "hostile configuration": (hostile_git, 0, ""),
    "alternates": (alternates, 2, "something outside itself"),
    "tree bomb": (tree_bomb, 5, ""),
    "hostile names": (folder({"\x1b[2J\u202e<script>.py": b"x", "[link=http:x]a.py": b"x"}), 0, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_input_through_the_program(tmp_path: Path, case: str) -> None:
    make, code, reason = CASES[case]
    ref = make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from apograph.cli import main; main()", "inspect", str(ref)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ref if ref.is_dir() else tmp_path,
        env={"PATH": os.defpath, "COLUMNS": "200"},
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert reason in said
    assert "Traceback" not in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)
    assert not (tmp_path / "canary").exists()
    if code in (3, 4):
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    else:
        assert "ok.py" in said or "endings" in said
