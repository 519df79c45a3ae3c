"""The tokenizer that a GGUF file carries in its metadata (keys ``tokenizer.*`` of ggml's docs/gguf.md)."""

from __future__ import annotations

from collections.abc import Mapping

from apograph.findings import Json
from apograph.release.tokenizer_model import vocab_map
from apograph.release.types import AddedToken, Tokenizer

_PREFIX = "tokenizer.ggml."
_CONTROL, _USER_DEFINED = 3, 4


def read_gguf_tokenizer(metadata: Mapping[str, Json], path: str) -> Tokenizer | None:
    """The tokenizer in a GGUF file's metadata; None when there is no vocabulary.

    Ids are positions; a token that stands twice keeps its first id. Control and user-defined tokens are the
    added ones. ``config`` holds the remaining ``tokenizer.*`` values. Raises Refusal as ``vocab_map`` does.
    """
    tokens = metadata.get(_PREFIX + "tokens")
    if not isinstance(tokens, list):
        return None
    vocab: dict[str, Json] = {}
    for i, token in enumerate(tokens):
        vocab.setdefault(str(token), i)
    config = {k: v for k, v in metadata.items() if k.startswith("tokenizer.") and not isinstance(v, list)}
    template = config.get("tokenizer.chat_template")
    merges = metadata.get(_PREFIX + "merges")
    special = {}
    for key, number in config.items():
        role = key.removeprefix(_PREFIX).removesuffix("_id")
        if key.endswith("_token_id") and type(number) is int and 0 <= number < len(tokens):
            special[role] = str(tokens[number])
    return Tokenizer(
        vocab=vocab_map(vocab, path),
        merges=tuple(map(str, merges)) if isinstance(merges, list) else None,
        added=_added(tokens, metadata.get(_PREFIX + "token_type")),
        special=special,
        parts={
            "model": {"type": config.get(_PREFIX + "model")},
            "pre_tokenizer": config.get(_PREFIX + "pre"),
        },
        config=config,
        chat_template=template if isinstance(template, str) else None,
        files=(path,),
    )


def _added(tokens: list[Json], kinds: Json) -> tuple[AddedToken, ...]:
    if not isinstance(kinds, list):
        return ()
    return tuple(
        AddedToken(i, str(token), kind == _CONTROL)
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=False))
        if kind in (_CONTROL, _USER_DEFINED)
    )
