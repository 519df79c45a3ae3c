"""Tensors from whatever headers and indexes a release has; what is wrong is named and the rest kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from apograph.release import checkpoint
from tests.release import gguf_files, torch_files
from tests.release.repos import pointer
from tests.release.test_parts import faults, write


def safetensors(**shapes: list[int]) -> bytes:
    """A safetensors file of zeros."""
    header, position = {}, 0
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * position


def index(**files: str) -> dict[str, Any]:
    return {"metadata": {"total_size": 8}, "weight_map": files}


def gguf(name: bytes, key: bytes = b"general.name", value: bytes = b"x") -> bytes:
    """A GGUF file with one text and one tensor of a single float."""
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    tensor = struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 1, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + pair + tensor
    return head + b"\0" * (-len(head) % 32) + b"\0" * 32


def tensors(folder: Path, files: dict[str, Any]) -> tuple[Any, list[tuple[str, str, bool]]]:
    answer: Any = checkpoint.tensors(write(folder, files))
    return answer["value"], faults(answer)


def names(value: Any) -> list[str]:
    return [entry["name"] for entry in value["entries"]]


def test_a_single_file(tmp_path: Path) -> None:
    value, found = tensors(tmp_path, {"m/model.safetensors": safetensors(b=[2, 3], a=[])})
    assert names(value) == ["b", "a"]
    assert (value["source"], value["total_size"], value["path"]) == ("headers", 28, "m/model.safetensors")
    assert value["entries"][0]["shape"] == [2, 3]
    assert found == []


def test_shards_in_the_order_of_their_index(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path,
        {
            "model.safetensors.index.json": index(c="2.safetensors", a="1.safetensors"),
            "1.safetensors": safetensors(a=[1]),
            "2.safetensors": safetensors(c=[1]),
        },
    )
    assert (names(value), value["source"], found) == (["c", "a"], "headers", [])


def test_an_index_alone(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path, {"d/model.safetensors.index.json": index(a="1.safetensors", b="2.safetensors")}
    )
    assert (names(value), value["source"], value["total_size"]) == (["a", "b"], "index", 8)
    assert value["entries"][0]["file"] == "d/1.safetensors"
    assert found == [("d/model.safetensors.index.json", "release.tensors.index_alone", False)]


def test_a_missing_shard_is_a_fault_and_the_rest_is_read(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path,
        {
            "model.safetensors.index.json": index(a="1.safetensors", b="2.safetensors"),
            "1.safetensors": safetensors(a=[1]),
        },
    )
    assert [(e["name"], e["shape"]) for e in value["entries"]] == [("a", [1]), ("b", None)]
    assert value["source"] == "index"
    assert found == [("2.safetensors", "release.tensors.no_shard", True)]


def test_a_shard_that_is_a_pointer_is_no_fault(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path,
        {"model.safetensors.index.json": index(a="1.safetensors"), "1.safetensors": pointer()},
    )
    assert (names(value), value["source"]) == (["a"], "index")
    assert found == [("1.safetensors", "release.absent.lfs", False)]


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "https://h/x", "a/../../x", ""])
def test_an_index_that_leads_outside_is_refused(tmp_path: Path, shard: str) -> None:
    value, found = tensors(tmp_path, {"model.safetensors.index.json": index(a=shard)})
    assert value is None
    assert found == [("model.safetensors.index.json", "readers.index.escape", True)]


def test_one_name_in_two_shards(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path,
        {
            "model.safetensors.index.json": index(a="1.safetensors", b="2.safetensors"),
            "1.safetensors": safetensors(a=[1]),
            "2.safetensors": safetensors(a=[1], b=[1]),
        },
    )
    assert names(value) == ["a", "b"]
    assert found == [("2.safetensors", "readers.index.twice", True)]


def test_a_series_without_index_must_be_complete(tmp_path: Path) -> None:
    value, found = tensors(tmp_path, {"model-00002-of-00002.safetensors": safetensors(b=[1])})
    assert names(value) == ["b"]
    assert found == [("model-00001-of-00002.safetensors", "release.tensors.no_part", True)]


def test_the_model_before_other_weights(tmp_path: Path) -> None:
    value, found = tensors(
        tmp_path,
        {
            "adapter.safetensors": safetensors(x=[1]),
            "model.safetensors": safetensors(a=[1]),
            "z.gguf": gguf(b"t"),
        },
    )
    assert (names(value), found) == (["a"], [("adapter.safetensors", "release.tensors.others", False)])


def test_numbered_shards_without_a_count_are_one_checkpoint(tmp_path: Path) -> None:
    parts = {f"model-0000{n}.safetensors": safetensors(**{f"t{n}": [1]}) for n in (1, 2)}
    value, found = tensors(tmp_path, parts)
    assert (names(value), found) == (["t1", "t2"], [])


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "readers.safetensors.short"),
        (b"1234567", "readers.safetensors.short"),
        (struct.pack("<Q", 1 << 40) + b"{}", "readers.safetensors.length"),
        (safetensors(a=[4])[:-3], "readers.tensors.outside"),
        (b"PK\x03\x04" + b"\0" * 60, "release.tensors.other_kind"),
        (b"\x80\x02}q\x00." + b"\0" * 60, "release.tensors.other_kind"),
    ],
)
def test_broken_or_disguised_weights_are_faults(tmp_path: Path, content: bytes, key: str) -> None:
    value, found = tensors(tmp_path, {"model.safetensors": content})
    assert value is None
    assert found == [("model.safetensors", key, True)]


def test_weights_are_known_by_content_not_by_name(tmp_path: Path) -> None:
    value, found = tensors(tmp_path, {"weights.bin": safetensors(a=[1])})
    assert (names(value), found) == (["a"], [])
    assert checkpoint.supported({"kind": "folder", "path": str(tmp_path)})


def test_gguf_whole_and_split(tmp_path: Path) -> None:
    value, found = tensors(tmp_path / "1", {"m.gguf": gguf(b"t")})
    assert (names(value), value["metadata"]["general.name"], found) == (["t"], "x", [])
    parts = {"m-00001-of-00002.gguf": gguf(b"t"), "m-00002-of-00002.gguf": gguf(b"u")}
    value, found = tensors(tmp_path / "2", parts)
    assert (names(value), found) == (["t", "u"], [])
    parts.pop("m-00001-of-00002.gguf")
    value, found = tensors(tmp_path / "3", parts)
    assert found == [("m-00001-of-00002.gguf", "release.tensors.no_part", True)]


@pytest.mark.parametrize("parts", [["m.gguf"], ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]])
def test_the_header_of_a_part_says_how_many_there_are(tmp_path: Path, parts: list[str]) -> None:
    """Parts that were renamed so that nothing seems to be missing."""
    for announced, said in ((7, [(parts[0], "release.tensors.split", True)]), (len(parts), []), (0, [])):
        count = gguf_files.pair("split.count", 2, struct.pack("<H", announced))
        files = {
            name: gguf_files.gguf((count,), (gguf_files.tensor(name, (8,), 0, 0),), b"\0" * 32)
            for name in parts
        }
        assert tensors(tmp_path, files)[1] == said


@pytest.mark.parametrize(
    ("name", "content", "key", "fault"),
    [
        ("pytorch_model.bin", b"\x1f\x8b" + b"\0" * 60, "release.tensors.other_kind", True),
        ("model.pt", b"\0" * 257 + b"ustar" + b"\0" * 250, "release.tensors.other_kind", True),
        ("pytorch_model.bin", safetensors(a=[1]), "release.tensors.other_kind", True),
        ("pytorch_model.bin", b"garbage" * 20, "readers.torch.other", True),
        ("m.gguf", b"GGUX" + b"\0" * 60, "readers.gguf.magic", True),
        ("state.dat", b"\x80\x04cos\nsystem\n.", "release.tensors.unread", False),
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n", "release.tensors.unread", False),
        ("model.npz", b"PK\x03\x04" + b"\0" * 60, "release.tensors.unread", False),
        ("model.onnx", b"\x08\x07", "release.tensors.unread", False),
    ],
)
def test_weights_in_another_form_are_named(
    tmp_path: Path, name: str, content: bytes, key: str, fault: bool
) -> None:
    found = tensors(tmp_path, {name: content, "vocab.bin": b"anything"})[1]
    assert found == [(name, key, fault)]


def test_nothing_supported(tmp_path: Path) -> None:
    assert not checkpoint.supported(write(tmp_path, {"notes.txt": b"hello", "photo.jpg": b"\xff\xd8"}))
    assert checkpoint.tensors({"kind": "folder", "path": str(tmp_path)}) == {"value": None, "faults": []}


@pytest.mark.parametrize(
    "name", ["a.py", "README.md", "config.json", "tokenizer.json", "x.index.json", "a.pyc"]
)
def test_what_is_supported_by_name(tmp_path: Path, name: str) -> None:
    assert checkpoint.supported(write(tmp_path, {f"d/{name}": b"x"}))


def test_heads_are_the_bytes_before_the_data(tmp_path: Path) -> None:
    files = {"a.safetensors": safetensors(a=[2]), "b.gguf": gguf(b"t"), "c.safetensors": b"broken"}
    spec = write(tmp_path, files)
    assert checkpoint.heads(spec) == {
        "a.safetensors": len(files["a.safetensors"]) - 8,
        "b.gguf": len(files["b.gguf"]) - 32,
    }


def saved(*names: str, run: str = "") -> bytes:
    """A PyTorch file (zip) of one tensor of two floats for each name; ``run`` is a foreign function."""
    items = {
        name: torch_files.tensor(torch_files.storage("FloatStorage", "0", 2), 0, (2,), (1,)) for name in names
    }
    if run:
        items["settings"] = torch_files.found(run) + b")R"
    members = {"m/data.pkl": torch_files.state(items), "m/data/0": b"\0" * 8}
    return torch_files.zipped(members)


def test_a_pytorch_file_alone_has_its_tensors(tmp_path: Path) -> None:
    files = {
        "pytorch_model.bin": saved("b", "a"),
        "optimizer.pt": saved("o"),
        "training_args.bin": saved("t"),
    }
    value, found = tensors(tmp_path, files)
    assert (names(value), found) == (["b", "a"], [])
    assert (value["source"], value["path"]) == ("headers", "pytorch_model.bin")
    assert value["entries"][0]["stop"] - value["entries"][0]["start"] == 8
    spec = {"kind": "folder", "path": str(tmp_path)}
    assert checkpoint.supported(spec)
    assert checkpoint.heads(spec) == {}
    value, found = tensors(tmp_path / "other", {"optimizer.bin": saved("o"), "weights.bin": saved("w")})
    assert (names(value), found) == (["w"], [])


def test_pytorch_shards_with_their_index_and_safetensors_first(tmp_path: Path) -> None:
    shards = {"1.bin": saved("a"), "2.bin": saved("b")}
    value, found = tensors(
        tmp_path / "1", {"pytorch_model.bin.index.json": index(b="2.bin", a="1.bin"), **shards}
    )
    assert (names(value), value["source"], found) == (["b", "a"], "headers", [])
    value, found = tensors(tmp_path / "2", {"x.safetensors": safetensors(s=[1]), **shards})
    assert (names(value), found) == (["s"], [("1.bin", "release.tensors.others", False)])


def test_what_a_pickle_names_beyond_tensors_is_a_fault_and_listed(tmp_path: Path) -> None:
    files = {
        "m.pt": saved("a", run="os.system"),
        "args.bin": saved("t", run="trainer.Args"),
        "c.bin": b"\1" * 600,
    }
    value, found = tensors(tmp_path, files)
    assert names(value) == ["t"]
    assert found == [
        ("args.bin", "readers.torch.foreign", True),
        ("m.pt", "release.tensors.others", False),
    ]
    spec: Any = {"kind": "folder", "path": str(tmp_path)}
    assert checkpoint.foreign(spec) == {"args.bin": ["trainer.Args"], "m.pt": ["os.system"]}
