"""A tokenizer from its files, read as data: nothing is compiled, rendered or run.

The files are those of the Hugging Face libraries (tokenizer.json, tokenizer_config.json and companions). One
that cannot be read is reported and the rest still speaks; when the content of tokenizer.json is absent, what
tokenizer_config.json says remains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from apograph.findings import Json, Refusal, Unexamined
from apograph.release.json_text import parse_json
from apograph.release.refuse import refuse
from apograph.release.tokenizer_model import (
    MAX_TOKENS,
    Model,
    added_token,
    read_model,
    token_text,
    vocab_map,
)
from apograph.release.types import AddedToken, Tokenizer

NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "chat_template.json",
)
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
MAX_TEMPLATE = 4 << 20
_Value = TypeVar("_Value")


def read_tokenizer(files: Mapping[str, bytes]) -> tuple[Tokenizer | None, tuple[Unexamined, ...]]:
    """The tokenizer whose files (path to content, of one folder; see ``NAMES``) are given, and the files
    that could not be read. None when no file of a tokenizer is among them.

    ``parts["model"]`` holds the model's type and its scalar settings. Added tokens are the union of what the
    files say, by id; two contents for one id are both kept. ``special`` maps ``bos_token`` ... and every
    other setting whose value is an added token (``slice_start``) to the token.
    """
    reader = _Reader({path.rsplit("/", 1)[-1]: (path, data) for path, data in files.items()})
    if not reader.known():
        return None, ()
    main = reader.object("tokenizer.json")
    config = reader.object("tokenizer_config.json")
    roles = reader.object("special_tokens_map.json")
    model = (
        reader.attempt("tokenizer.json", lambda path: read_model(main.get("model"), path)) if main else None
    )
    model = model or reader.loose_model()
    added = _added(main, config, reader.object("added_tokens.json"))
    if len(added) > MAX_TOKENS:
        raise refuse("tokenizer.many", next(iter(files)), code=5, limit=MAX_TOKENS)
    parts: dict[str, Json] = {name: main[name] for name in PARTS if name in main}
    if model:
        parts["model"] = dict(model.settings)
    tokenizer = Tokenizer(
        vocab=model.vocab if model else None,
        merges=model.merges if model else None,
        added=added,
        special=_special({**roles, **config}, added),
        parts=parts,
        config=config,
        chat_template=reader.template(config),
        files=tuple(sorted(path for path in files if path.rsplit("/", 1)[-1] in NAMES)),
    )
    return tokenizer, tuple(reader.faults)


class _Reader:
    """The files by name, and what could not be read of them."""

    def __init__(self, files: Mapping[str, tuple[str, bytes]]) -> None:
        self._files = {name: file for name, file in files.items() if name in NAMES}
        self.faults: list[Unexamined] = []

    def known(self) -> bool:
        return bool(self._files)

    def attempt(self, name: str, parse: Callable[[str], _Value]) -> _Value | None:
        path = self._files[name][0]
        try:
            return parse(path)
        except Refusal as refusal:
            fault = Unexamined("tokenizer", refusal.message, path=path, fault=True, code=refusal.code)
            self.faults.append(fault)
            return None

    def object(self, name: str) -> dict[str, Json]:
        """The JSON object of a file; {} when the file is absent or could not be read."""
        if name not in self._files:
            return {}
        data = self._files[name][1]

        def parse(path: str) -> dict[str, Json]:
            value = parse_json(data, path)
            if not isinstance(value, dict):
                raise refuse("tokenizer.form", path)
            return value

        return self.attempt(name, parse) or {}

    def text(self, name: str, limit: int) -> str | None:
        if name not in self._files:
            return None
        data = self._files[name][1]

        def parse(path: str) -> str:
            if len(data) > limit:
                raise refuse("tokenizer.size", path, code=5, limit=limit)
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise refuse("tokenizer.encoding", path, error.start) from None

        return self.attempt(name, parse)

    def loose_model(self) -> Model | None:
        """The model from vocab.json with merges.txt (BPE), or from vocab.txt (WordPiece)."""
        vocab = self.object("vocab.json")
        if vocab:
            lines = (self.text("merges.txt", 64 << 20) or "").splitlines()
            merges = [line for line in lines if line and not line.startswith("#version")]
            data: dict[str, Json] = {"type": "BPE", "vocab": vocab, "merges": merges}
            return self.attempt("vocab.json", lambda path: read_model(data, path))
        lines = (self.text("vocab.txt", 64 << 20) or "").split("\n")
        tokens = {line.rstrip("\r"): i for i, line in enumerate(lines) if line}
        if not tokens:
            return None
        return self.attempt(
            "vocab.txt", lambda path: Model(vocab_map(tokens, path), None, {"type": "WordPiece"})
        )

    def template(self, config: Mapping[str, Json]) -> str | None:
        """The chat template: a file's before the configuration's, of named ones the default or the first."""
        text = self.text("chat_template.jinja", MAX_TEMPLATE)
        if text is not None:
            return text
        value = self.object("chat_template.json").get("chat_template") or config.get("chat_template")
        if isinstance(value, list):
            value = {str(t.get("name")): t.get("template") for t in value if isinstance(t, dict)}
        if isinstance(value, dict):
            value = value.get("default", next(iter(value.values()), None))
        return value if isinstance(value, str) else None


def _added(
    main: Mapping[str, Json], config: Mapping[str, Json], plain: Mapping[str, Json]
) -> tuple[AddedToken, ...]:
    listed = main.get("added_tokens")
    decoder = config.get("added_tokens_decoder")
    candidates = [added_token(entry, None) for entry in listed] if isinstance(listed, list) else []
    if isinstance(decoder, dict):
        candidates += [added_token(entry, key) for key, entry in decoder.items()]
    candidates += [added_token({"content": content}, number) for content, number in plain.items()]
    found: dict[tuple[int, str], AddedToken] = {}
    for token in candidates:
        if token is not None:
            found.setdefault((token.id, token.content), token)
    return tuple(found[key] for key in sorted(found))


def _special(settings: Mapping[str, Json], added: tuple[AddedToken, ...]) -> dict[str, str]:
    contents = {token.content for token in added}
    special: dict[str, str] = {}
    for role, value in settings.items():
        content = token_text(value)
        if content is not None and (role.endswith("_token") or content in contents):
            special[role] = content
        elif role == "additional_special_tokens" and isinstance(value, list):
            texts = [t for t in map(token_text, value) if t is not None]
            special.update({f"{role}.{i}": t for i, t in enumerate(texts)})
    return special
