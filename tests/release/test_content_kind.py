import pytest

from apograph.release.content_kind import content_kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"GGUF\x03\0\0\0" + b"\0" * 8, "GGUF"),
        (b"PK\x03\x04" + b"\0" * 12, "zip"),
        (b"\x80\x02}q\0." + b"\0" * 12, "pickle"),
        ((40).to_bytes(8, "little") + b'{"a":{}}', "safetensors"),
        (b"\0" * 257 + b"ustar\0", "tar"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS pointer"),
        (b"", None),
        (b"{}", None),
    ],
)
def test_by_content(head, kind):
    assert content_kind(head) == kind
