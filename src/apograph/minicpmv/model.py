"""Vision tower, resampler and Llama-3 in one module; the resampler's vectors replace placeholder embeddings.

Llama-3 is transformers' ``LlamaForCausalLM``, built from our configuration; no code and no configuration
class of a release is used. Positions are ordinary and the attention causal, across pictures too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from apograph.minicpmv.config import Config, Reading
from apograph.minicpmv.image import Picture
from apograph.minicpmv.prompt import Prompt
from apograph.minicpmv.resampler import Resampler
from apograph.minicpmv.vision import VisionTower


def language_model(config: Config) -> nn.Module:
    """Llama-3 of the configured size, with random weights (or none, under a meta device)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    llama = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        max_position_embeddings=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(llama)  # type: ignore[no-any-return]


class Model(nn.Module):
    """The whole model. Parameter names are those of the MiniCPM release: ``llm.``, ``vpm.``,
    ``resampler.``."""

    def __init__(self, config: Config, reading: Reading = "original") -> None:
        super().__init__()
        self.config = config
        self.reading: Reading = reading
        self.llm = language_model(config)
        self.vpm = VisionTower(config)
        self.resampler = Resampler(config)

    @property
    def device(self) -> torch.device:
        """Where the embeddings live, and with them all inputs."""
        return self.embedding.weight.device

    @property
    def embedding(self) -> nn.Embedding:
        """The token embedding of the language model."""
        return self.llm.model.embed_tokens  # type: ignore[union-attr,return-value]

    def see(self, pictures: Sequence[Picture]) -> Tensor:
        """All slices of all pictures of one prompt -> (slices, query_num, D).

        Under the reading "original" the slices are one batch and influence one another (see ``vision``), so
        the pictures of a prompt belong together in one call.
        """
        pixels = [tensor for picture in pictures for tensor in picture.pixels]
        shapes = [shape for picture in pictures for shape in picture.patches]
        return self.resampler(self.vpm(pixels, shapes, self.reading), shapes)  # type: ignore[no-any-return]

    def embed(self, prompt: Prompt, seen: Tensor | None = None) -> Tensor:
        """Embeddings (T, D) of a prompt; ``seen`` are its pictures' vectors where they are known already."""
        embeds: Tensor = self.embedding(torch.tensor(prompt.ids, device=self.device))
        if prompt.pictures:
            seen = self.see(prompt.pictures) if seen is None else seen
            embeds = embeds.clone()
            for (start, stop), vectors in zip(prompt.places, seen, strict=True):
                embeds[start:stop] = vectors.to(embeds)
        return embeds

    def forward(
        self,
        embeds: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
        keep: int = 0,
    ) -> Tensor:
        """embeds (B, T, D), mask (B, past + T) true where a position counts -> logits (B, T or keep, vocab).

        Positions count what the mask shows, so rows padded on the left are numbered from their own start.
        ``cache`` is a transformers cache, extended in place; ``keep`` > 0 asks for the last logits only.
        """
        positions = None
        if mask is not None:
            positions = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -embeds.shape[1] :]
        hidden = self.llm.model(  # type: ignore[operator]
            inputs_embeds=embeds,
            attention_mask=None if mask is None else mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        # A view of the last positions would make the product copy the whole output matrix, for seconds.
        return self.llm.lm_head(hidden[:, -keep:].contiguous())  # type: ignore[no-any-return,operator]
