"""A picture becomes pixel tensors, one per slice, each a row of 14 x 14 patches.

Pictures from strangers are opened with limits: PNG, JPEG or WebP only, at most 16 million pixels, checked
before anything is decoded.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from apograph.findings import Message, Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.slicing import Plan, plan

MAX_PIXELS = 16_000_000
MAX_FILE = 32 << 20  # bytes
FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True, slots=True)
class Picture:
    """The slices of one picture: ``pixels[i]`` is (3, 14, 14 * N_i) float32 in -1 ... 1, N_i = h * w
    patches in raster order side by side; ``patches[i]`` is (h, w). The overview comes first. ``digest``
    names the pixels."""

    pixels: tuple[torch.Tensor, ...]
    patches: tuple[tuple[int, int], ...]
    plan: Plan
    digest: str


def open_picture(content: bytes) -> Image.Image:
    """Decode an untrusted picture to RGB. Raises Refusal: 3 for what is no such picture, 5 when too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(image.width, image.height)
            return image.convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Refusal(5, Message("minicpmv.refused.bomb", {"limit": MAX_PIXELS // 1_000_000})) from None
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError) as fault:
        raise Refusal(3, Message("minicpmv.refused.picture")) from fault


def _too_large(width: int, height: int) -> Refusal:
    params = {"width": width, "height": height, "limit": MAX_PIXELS // 1_000_000}
    return Refusal(5, Message("minicpmv.refused.pixels", params))


def slices(image: Image.Image, config: Config) -> tuple[Plan, list[Image.Image]]:
    """Cut an RGB picture: the overview, then the slices row by row. Both are resized from the original."""
    max_slices = config.max_slice_nums if config.slice_mode else 1
    cut = plan(image.size, max_slices, config.scale_resolution, config.patch_size)
    parts = [image.resize(cut.overview, Image.Resampling.BICUBIC)]
    if cut.refined is not None:
        refined = image.resize(cut.refined, Image.Resampling.BICUBIC)
        parts += [refined.crop(box) for box in cut.boxes]
    return cut, parts


def prepare(image: Image.Image, config: Config) -> Picture:
    """Slices as normalised tensors, ready for the vision tower."""
    cut, parts = slices(image.convert("RGB"), config)
    arrays = [np.asarray(part, dtype=np.uint8) for part in parts]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(array.tobytes())
    p = config.patch_size
    patches = tuple((a.shape[0] // p, a.shape[1] // p) for a in arrays)
    return Picture(tuple(patch_row(a, p) for a in arrays), patches, cut, digest.hexdigest())


def patch_row(rgb: NDArray[np.uint8], p: int) -> torch.Tensor:
    """(H, W, 3) bytes to (3, p, p * N) float32 in -1 ... 1: the N patches in raster order, side by side."""
    x = np.divide(rgb, 255, dtype=np.float32)
    x = (x - np.float32(0.5)) / np.float32(0.5)
    h, w = x.shape[0] // p, x.shape[1] // p
    x = x.reshape(h, p, w, p, 3)  # (h, py, w, px, C)
    x = x.transpose(4, 1, 0, 2, 3)  # (C, py, h, w, px)
    return torch.from_numpy(np.ascontiguousarray(x.reshape(3, p, h * w * p)))
