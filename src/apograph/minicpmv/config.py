"""All sizes of the model in one place, and how a release's config.json fills them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from apograph.findings import Json, Message, Refusal

Reading = Literal["original", "own-mask", "two-d"]
"""How the vision tower places and masks patches (see ``vision``): "original" is what the published code
executed, "own-mask" what vLLM does (and the original without batching), "two-d" what llama.cpp does."""


@dataclass(frozen=True, slots=True)
class Config:
    """MiniCPM-Llama3-V 2.5. The defaults are those of the published checkpoint (8,537,092,336 parameters).

    A configuration that lacks keys (Llama3-V's lacks five) gets these defaults.
    """

    # Language model: Llama-3-8B
    vocab_size: int = 128256
    hidden_size: int = 4096
    intermediate_size: int = 14336
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    max_position_embeddings: int = 8192
    rms_norm_eps: float = 1e-5
    rope_theta: float = 500000.0

    # Vision tower: SigLIP-so400m in the Idefics2 form, all of its layers kept
    vision_hidden_size: int = 1152
    vision_intermediate_size: int = 4304
    vision_layers: int = 27
    vision_heads: int = 16
    vision_image_size: int = 980
    """Side in pixels of the square that the learned position table covers: 980 / 14 = 70 patches."""
    patch_size: int = 14
    batch_vision_input: bool = True
    """False encodes every slice alone, which is the reading "own-mask"."""

    # Resampler
    query_num: int = 96

    # Slicing
    slice_mode: bool = True
    max_slice_nums: int = 9
    scale_resolution: int = 448

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool) and not 0 < value < 1 << 24:
                raise _bad(field.name)
        for whole, part, name in (
            (self.hidden_size, self.num_attention_heads, "num_attention_heads"),
            (self.num_attention_heads, self.num_key_value_heads, "num_key_value_heads"),
            (self.vision_hidden_size, self.vision_heads, "vision_config.num_attention_heads"),
            (self.hidden_size, self.resampler_heads, "hidden_size"),
            (self.hidden_size, 4, "hidden_size"),
        ):
            if whole % part:
                raise _bad(name)

    @property
    def resampler_heads(self) -> int:
        """Attention heads of the resampler: 128 channels each."""
        return max(self.hidden_size // 128, 1)

    @property
    def head_dim(self) -> int:
        """Channels of one head of the language model."""
        return self.hidden_size // self.num_attention_heads

    @property
    def position_side(self) -> int:
        """Side of the learned position table of the vision tower, in patches (70)."""
        return self.vision_image_size // self.patch_size

    @classmethod
    def from_json(cls, config: Mapping[str, Json]) -> Config:
        """Read a config.json (nested ``vision_config`` and ``slice_config``); missing keys get the defaults.

        Raises Refusal(3) when a value has the wrong type, is out of range, or asks for what this model does
        not have (dropping the last vision layer, another activation, scaled rotary positions).
        """
        vision, slices = _table(config, "vision_config"), _table(config, "slice_config")
        values: dict[str, Json] = {
            "vision_hidden_size": vision.get("hidden_size"),
            "vision_intermediate_size": vision.get("intermediate_size"),
            "vision_layers": vision.get("num_hidden_layers"),
            "vision_heads": vision.get("num_attention_heads"),
            "vision_image_size": vision.get("image_size"),
            "patch_size": vision.get("patch_size", slices.get("patch_size")),
            "max_slice_nums": slices.get("max_slice_nums"),
            "scale_resolution": slices.get("scale_resolution"),
        }
        for field in fields(cls):
            values.setdefault(field.name, config.get(field.name))
        if config.get("drop_vision_last_layer") or config.get("rope_scaling"):
            raise _bad("drop_vision_last_layer" if config.get("drop_vision_last_layer") else "rope_scaling")
        if config.get("hidden_act", "silu") != "silu":
            raise _bad("hidden_act")
        if config.get("tie_word_embeddings"):
            raise _bad("tie_word_embeddings")
        given = {name: _typed(cls, name, value) for name, value in values.items() if value is not None}
        return cls(**given)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Json]:
        """The config.json that :meth:`from_json` reads back, in the published layout."""
        llm = {f.name: getattr(self, f.name) for f in fields(self)[:9]}
        return {
            "model_type": "minicpmv",
            "torch_dtype": "float16",
            **llm,
            "query_num": self.query_num,
            "slice_mode": self.slice_mode,
            "batch_vision_input": self.batch_vision_input,
            "drop_vision_last_layer": False,
            "slice_config": {
                "max_slice_nums": self.max_slice_nums,
                "patch_size": self.patch_size,
                "scale_resolution": self.scale_resolution,
            },
            "vision_config": {
                "hidden_size": self.vision_hidden_size,
                "intermediate_size": self.vision_intermediate_size,
                "num_hidden_layers": self.vision_layers,
                "num_attention_heads": self.vision_heads,
                "image_size": self.vision_image_size,
                "patch_size": self.patch_size,
            },
        }


def _bad(name: str) -> Refusal:
    return Refusal(3, Message("minicpmv.refused.config", {"name": name}))


def _table(config: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    table = config.get(name)
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise _bad(name)
    return table


def _typed(cls: type[Config], name: str, value: Json) -> int | float | bool:
    default = getattr(cls(), name)
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, int):
        fits = isinstance(value, int)
    else:
        fits = isinstance(value, (int, float))
    if not fits:
        raise _bad(name)
    return type(default)(value)  # type: ignore[no-any-return]
