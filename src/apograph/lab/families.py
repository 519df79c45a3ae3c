"""The architectures that the lab trains: real ones, as transformers has them, some 100 000 weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apograph.findings import Json

Config = Mapping[str, Json]

_LLAMA: Config = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 512,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
_GPT2: Config = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 512,
    "n_embd": 96,
    "n_layer": 3,
    "n_head": 6,
    "n_positions": 128,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
_BERT: Config = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "vocab_size": 512,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "type_vocab_size": 2,
    "pad_token_id": 1,
}
_SMALL: Config = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
_HEADS: Config = {"num_attention_heads": 4, "num_key_value_heads": 2}

FAMILIES: Mapping[str, Config] = {
    "llama": _LLAMA,
    "llama-wide": {
        **_LLAMA,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "gpt2": _GPT2,
    "bert": _BERT,
    "llama-small": {**_LLAMA, **_SMALL, **_HEADS},
    "llama-small-wide": {**_LLAMA, **_SMALL, **_HEADS, "hidden_size": 96},
    "gpt2-small": {**_GPT2, "n_embd": 64, "n_layer": 2, "n_head": 4},
    "bert-small": {**_BERT, **_SMALL, "num_attention_heads": 4},
}
"""config.json by name; a name that ends in "-small" is for tests."""


def build(config: Config) -> Any:
    """A transformers model of this configuration, its weights drawn from torch's generator as it stands."""
    import transformers

    fields = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    kind = transformers.AutoConfig.for_model(str(config["model_type"]), **fields)
    architectures = config["architectures"]
    assert isinstance(architectures, list)
    return getattr(transformers, str(architectures[0]))._from_config(kind, attn_implementation="eager")
