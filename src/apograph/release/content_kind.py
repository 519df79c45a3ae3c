"""What a file is by its first bytes; by its name only whether a zip or a pickle is meant to hold weights."""

from __future__ import annotations

_MAGICS = (
    (b"GGUF", "GGUF"),
    (b"PK\x03\x04", "zip"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"version https://git-lfs", "LFS pointer"),
)


def content_kind(head: bytes) -> str | None:
    """The container that ``head`` (the first 16 bytes or more) opens, None when it is none that is known:
    "safetensors", "pickle", "GGUF", "zip" and so on."""
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    return "tar" if head[257:262] == b"ustar" else None


TORCH = (".bin", ".pt", ".pth", ".ckpt")
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def weight_kind(head: bytes, path: str) -> str | None:
    """As ``content_kind`` of the first 512 bytes, but "PyTorch" for a zip or pickle that torch.save wrote
    (its first member or pickle tells) or that bears a name of such files."""
    kind = content_kind(head)
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    saved = head.startswith(_LEGACY) or (kind == "zip" and name.endswith(b"/data.pkl"))
    if saved or (kind in ("zip", "pickle") and path.lower().endswith(TORCH)):
        return "PyTorch"
    return kind
