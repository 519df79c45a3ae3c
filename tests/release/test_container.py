"""A container is read only as it was written."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apograph.findings import Json, Refusal
from apograph.release import container as module
from apograph.release.container import Container, Writer, manifest_digest, to_bytes


def written(path: Path) -> Path:
    """A container of two members and one of weights."""
    writer = Writer(str(path))
    writer.add("a.json", b'{"a": 1}' * 50)
    writer.add("b", b"x" * 1000)
    writer.add_weights("weights/0", [b"w" * 100, b"v" * 50])
    writer.finish({"captured": "then"})
    return path


def code_of(path: Path) -> int:
    with pytest.raises(Refusal) as refused:
        Container(str(path))
    return refused.value.code


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = Container(str(written(tmp_path / "c")))
    assert found.read("a.json") == b'{"a": 1}' * 50
    assert found.manifest["captured"] == "then"
    stream, size = found.stream("weights/0")
    assert (size, stream.read()) == (150, b"w" * 100 + b"v" * 50)
    stream.seek(98)
    assert stream.read(4) == b"wwvv"
    stream.close()
    assert os.listdir(tmp_path) == ["c"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "1").read_bytes() == written(tmp_path / "2").read_bytes()


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("old")
    writer = Writer(str(tmp_path / "c"))
    writer.add("a", b"x")
    writer.abandon()
    assert os.listdir(tmp_path) == ["c"]
    assert (tmp_path / "c").read_text() == "old"


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "no" / "c"):
        with pytest.raises(Refusal) as refused:
            Writer(str(place))
        assert refused.value.code == 4


@pytest.mark.parametrize("name", ["a.json", "b", "weights/0"])
def test_an_altered_member_is_named(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "c")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(name)
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(name) + 20 * (info.compress_type == 0) + 4] ^= 1
    path.write_bytes(data)
    if name == "weights/0":  # read in parts, checked by who reads it whole
        assert Container(str(path)).stream(name)[0].read() != b"w" * 100 + b"v" * 50
        return
    with pytest.raises(Refusal) as refused:
        Container(str(path))
    assert (refused.value.code, refused.value.message.params) == (2, {"member": name})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = written(tmp_path / "c")
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[place] ^= data.draw(st.integers(1, 255))
    else:
        del whole[place:]
    path.write_bytes(whole)
    with suppress(Refusal):
        found = Container(str(path))
        assert found.read("b") == b"x" * 1000
        assert found.manifest["captured"] == "then"


def zipped(members: list[tuple[str, bytes]], /, **manifest: Json) -> bytes:
    """A zip with a manifest that fits its members, by the standard library."""
    import hashlib

    listed = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members}
    whole: dict[str, Json] = {"format": module.FORMAT, "version": 1, "members": listed, **manifest}
    whole.setdefault("digest", manifest_digest(whole))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*members, (module.MANIFEST, to_bytes(whole))]:
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_foreign_zip_that_is_alike_is_read(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(zipped([("../x", b"1")]))
    assert Container(str(tmp_path / "c")).read("../x") == b"1"
    assert os.listdir(tmp_path) == ["c"]


def with_bomb() -> bytes:
    """A member whose directory entry and manifest say 10 bytes and that inflates to 50 million."""
    whole = zipped([("a", b"0123456789")])
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(b"\0" * 50_000_000) + bomb.flush()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        info = zipfile.ZipInfo("a")
        new.writestr(info, packed)
        new.writestr(module.MANIFEST, old.read(module.MANIFEST))
    data = bytearray(buffer.getvalue())
    for magic, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = data.index(magic)
        data[place + method : place + method + 2] = struct.pack("<H", 8)
    return bytes(data)


HOSTILE = {
    "a bomb": (with_bomb, 2),
    "prefixed bytes": (lambda: b"#!/bin/sh\n" + zipped([("a", b"1")]), 2),
    "appended bytes": (lambda: zipped([("a", b"1")]) + b"tail", 2),
    "a wrong digest": (lambda: zipped([("a", b"1")], digest="0" * 64), 2),
    "a newer version": (lambda: zipped([("a", b"1")], version=2), 2),
    "another format": (lambda: zipped([("a", b"1")], format="x"), 3),
    "a member that is not there": (lambda: zipped([], members={"a": {"size": 1, "sha256": ""}}), 2),
    "a member that is not listed": (lambda: zipped([("a", b"1")], members={}), 2),
    "a size that is no number": (
        lambda: zipped([("a", b"1")], members={"a": {"size": "1", "sha256": ""}}),
        2,
    ),
    "two members of one name": (lambda: zipped([("a", b"1"), ("a", b"1")]), 2),
    "an empty zip": (lambda: b"PK\x05\x06" + b"\0" * 18, 3),
    "no zip": (lambda: b"PK\x03\x04 and nothing more", 2),
    "a manifest that is no JSON": (
        lambda: zipped([("a", b"1")]).replace(b"manifest.json", b"manifest.jsoX"),
        3,
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_containers(tmp_path: Path, what: str) -> None:
    make, code = HOSTILE[what]
    (tmp_path / "c").write_bytes(make())
    assert code_of(tmp_path / "c") == code


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped([("a", b"1")]))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + flags] |= 1
    (tmp_path / "c").write_bytes(data)
    assert code_of(tmp_path / "c") == 2


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "c")
    monkeypatch.setattr(module, "MAX_TOGETHER", 500)
    assert code_of(path) == 5
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)
    assert code_of(path) == 5


def test_the_manifest_lists_every_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(tmp_path / "c")) as archive:
        manifest = json.loads(archive.read(module.MANIFEST))
        assert sorted(manifest["members"]) == ["a.json", "b", "weights/0"]
        assert archive.testzip() is None
