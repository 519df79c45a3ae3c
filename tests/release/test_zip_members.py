import io
import struct
import zipfile

import pytest

from apograph.release.zip_members import read_members
from tests.release.refusals import refused
from tests.release.torch_files import zipped


def read(data: bytes):
    return read_members(io.BytesIO(data), len(data), "m.pt")


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def deflated() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", b"x" * 10_000)
    return buffer.getvalue()


TWO = zipped({"m/a": b"first", "m/b": b"second"})
CENTRAL = TWO.index(b"PK\x01\x02")
SECOND = TWO.index(b"PK\x01\x02", CENTRAL + 1)
END = TWO.index(b"PK\x05\x06")
LOCAL_B = TWO.index(b"PK\x03\x04", 4)


def test_members_lie_where_they_say():
    found = read(TWO)
    assert {n: TWO[m.start : m.start + m.size] for n, m in found.items()} == {
        "m/a": b"first",
        "m/b": b"second",
    }


def test_zip64_sizes(tmp_path):
    with zipfile.ZipFile(tmp_path / "m", "w") as file, file.open("a", "w", force_zip64=True) as member:
        member.write(b"content")
    data = (tmp_path / "m").read_bytes()
    member = read(data)["a"]
    assert data[member.start : member.start + member.size] == b"content"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 2),
        (b"PK\x05\x06" + b"\0" * 17, 2),
        (TWO[:-1], 2),
        (TWO + b"x", 2),
        (deflated(), 2),
        (changed(TWO, CENTRAL + 8, b"\x01"), 2),  # encrypted
        (changed(TWO, 30, b"n"), 2),  # local name differs
        (changed(TWO, 14, b"\0\0\0\0"), 2),  # local checksum differs
        (changed(TWO, SECOND + 42, b"\0\0\0\0"), 2),  # second entry at the first's place
        (changed(TWO, SECOND + 46, b"m/a"), 2),  # the same name twice
        (changed(changed(TWO, LOCAL_B + 30, b"../"), SECOND + 46, b"../"), 2),
        (changed(changed(TWO, LOCAL_B + 30, b"/et"), SECOND + 46, b"/et"), 2),
        (changed(changed(TWO, LOCAL_B + 30, b"m\\b"), SECOND + 46, b"m\\b"), 2),
        (changed(changed(TWO, LOCAL_B + 30, b"m\0b"), SECOND + 46, b"m\0b"), 2),
        (changed(changed(TWO, LOCAL_B + 30, b"m\xffb"), SECOND + 46, b"m\xffb"), 2),
        (changed(TWO, END + 8, struct.pack("<HH", 3, 3)), 2),  # more members than there are
        (changed(TWO, END + 8, struct.pack("<HH", 1, 1)), 2),  # fewer
        (changed(TWO, END + 12, struct.pack("<I", 1 << 31)), 2),
        (changed(TWO, END + 16, struct.pack("<I", 1 << 31)), 2),
        (changed(TWO, SECOND + 20, struct.pack("<II", 1 << 30, 1 << 30)), 2),  # reaches beyond the file
        (changed(TWO, SECOND + 20, b"\xff" * 8), 2),  # zip64 without its field
    ],
)
def test_refuses(data, code):
    assert refused(lambda: read(data)).code == code


def test_overlapping_members_are_refused():
    longer = changed(changed(TWO, 18, struct.pack("<II", 40, 40)), CENTRAL + 20, struct.pack("<II", 40, 40))
    assert refused(lambda: read(longer)).message.params["what"] == "overlap"


def test_the_number_of_members_is_a_limit(monkeypatch):
    monkeypatch.setattr("apograph.release.zip_members.MAX_MEMBERS", 1)
    assert refused(lambda: read(TWO)).code == 5
