"""Pixels bit for bit, and what strangers send."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from apograph.findings import Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.image import open_picture, prepare, slices

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in (GOLDEN / "images").glob("*.png"))


def test_there_are_nine_images() -> None:
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_slices_and_pixel_tensors_are_bit_equal(
    name: str, cases: dict[str, Any], picture: Any, config: Config, vectors: dict[str, torch.Tensor]
) -> None:
    case, made = cases[name], picture(name)
    _, parts = slices(open_picture((GOLDEN / "images" / f"{name}.png").read_bytes()), config)
    assert [hashlib.sha256(p.tobytes()).hexdigest() for p in parts] == case["slice_rgb_sha256"]
    assert [list(shape) for shape in made.patches] == case["tgt_sizes_h_w"]
    digests = [hashlib.sha256(p.numpy().tobytes()).hexdigest() for p in made.pixels]
    assert digests == case["pixel_tensor_f32_sha256"] == case["may_pixel_f32_sha256"]
    for tensor, sample in zip(made.pixels, vectors[f"{name}.pixel_samples"], strict=True):
        at = torch.linspace(0, tensor.numel() - 1, 64, dtype=torch.float64).round().long()
        assert torch.equal(tensor.flatten()[at], sample)


def test_digest_tells_pictures_apart(config: Config) -> None:
    black, dark = (prepare(Image.new("RGB", (20, 20), (v, 0, 0)), config) for v in (0, 1))
    assert black.digest != dark.digest
    assert black.digest == prepare(Image.new("RGB", (20, 20)), config).digest


def _png(width: int, height: int) -> bytes:
    """A valid PNG header for any size, with almost no data behind it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "code", "key"),
    [
        (b"", 3, "picture"),
        (b"not a picture", 3, "picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", 3, "picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, 3, "picture"),
        (_png(5000, 4000), 5, "pixels"),
        (_png(60000, 60000), 5, "bomb"),
        (_png(100, 100), 3, "picture"),
    ],
)
def test_bad_pictures_are_refused(content: bytes, code: int, key: str) -> None:
    with pytest.raises(Refusal) as refusal:
        open_picture(content)
    assert refusal.value.code == code
    assert refusal.value.message.key == f"minicpmv.refused.{key}"


def test_formats_outside_the_list_are_refused() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "BMP")
    with pytest.raises(Refusal):
        open_picture(buffer.getvalue())


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "LA"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (30, 20)).save(buffer, "PNG")
    assert open_picture(buffer.getvalue()).mode == "RGB"
