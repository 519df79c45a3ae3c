"""Releases in memory for tests: all that ``release.types.Release`` promises, from plain dictionaries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apograph.findings import Json, Unexamined
from apograph.release.types import (
    AddedToken,
    Card,
    Change,
    Commit,
    Content,
    File,
    History,
    Release,
    TensorInfo,
    Tensors,
    Tokenizer,
    Version,
)

_TOKENIZER = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
}

Contents = Mapping[str, bytes | str | dict[str, Any]]


def git_oid(content: bytes) -> str:
    """The blob id that git gives to this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def as_bytes(content: bytes | str | dict[str, Any]) -> bytes:
    """Bytes as they are, text as UTF-8, a dictionary as JSON."""
    if isinstance(content, dict):
        return json.dumps(content, indent=2).encode()
    return content.encode() if isinstance(content, str) else content


def lfs(path: str, sha256: str, size: int) -> File:
    """A file of which only a Git-LFS pointer is stored."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
        sha256.encode(),
        size,
    )
    return File(path, size, Content.LFS, git_oid(pointer), sha256)


def missing(path: str, oid: str) -> File:
    """A file whose git object is named but absent (partial clone)."""
    return File(path, None, Content.MISSING, oid)


def tensors(
    spec: Iterable[str] | Mapping[str, Sequence[int]], total_size: int | None = None, dtype: str = "BF16"
) -> Tensors:
    """Names alone make an index; names with shapes make headers."""
    if isinstance(spec, Mapping):
        entries = tuple(TensorInfo(n, tuple(s), dtype, "model.safetensors") for n, s in spec.items())
        return Tensors(entries, "headers", total_size, "model.safetensors")
    entries = tuple(TensorInfo(n, None, None, "model-00001.safetensors") for n in spec)
    return Tensors(entries, "index", total_size, "model.safetensors.index.json")


def tokenizer(
    vocab: Mapping[str, int] | None = None,
    merges: Sequence[str] | None = None,
    added: Mapping[str, int] | None = None,
    special: Mapping[str, str] | None = None,
    parts: Mapping[str, Json] | None = None,
    config: Mapping[str, Json] | None = None,
    chat_template: str | None = None,
    files: Sequence[str] = ("tokenizer_config.json",),
) -> Tokenizer:
    """A tokenizer with nothing in it but what is given."""
    tokens = tuple(AddedToken(i, t, True) for t, i in (added or {}).items())
    return Tokenizer(
        vocab, None if merges is None else tuple(merges), tokens, special or {}, parts or {}, config or {},
        chat_template, tuple(files),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of a made-up history: what it writes (content) or deletes (None), and when."""

    time: int
    files: Mapping[str, bytes | str | dict[str, Any] | None]
    message: str = "change"
    author: str = "A"
    refs: tuple[str, ...] = ()


def _history(steps: Iterable[Step]) -> tuple[History, dict[str, bytes], list[dict[str, bytes]]]:
    """A linear history, every blob by id, and the files after each step."""
    commits: list[Commit] = []
    versions: list[Version] = []
    blobs: dict[str, bytes] = {}
    trees: list[dict[str, bytes]] = []
    tree: dict[str, bytes] = {}
    live: dict[str, Version] = {}
    for number, step in enumerate(steps):
        parents = (commits[-1].id,) if commits else ()
        commit = hashlib.sha1(f"{number} {step.time} {step.message} {parents}".encode()).hexdigest()
        changes: list[Change] = []
        for path, content in step.files.items():
            before = git_oid(tree[path]) if path in tree else None
            tree.pop(path, None)
            after = None
            if content is not None:
                tree[path] = as_bytes(content)
                after = git_oid(tree[path])
                blobs[after] = tree[path]
            changes.append(Change(path, before, after))
            if (old := live.pop(path, None)) is not None:
                versions.append(Version(path, old.git_oid, old.commit, old.since, step.time, commit))
            if after is not None:
                live[path] = Version(path, after, commit, step.time, None)
        commits.append(
            Commit(
                commit,
                parents,
                step.author,
                step.time,
                0,
                step.time,
                0,
                step.message,
                tuple(changes),
                step.refs,
            )
        )
        trees.append(dict(tree))
    versions += live.values()
    return History(tuple(commits), tuple(sorted(versions, key=lambda v: (v.path, v.since)))), blobs, trees


class FakeRelease:
    """A release in memory: satisfies the ``Release`` protocol.

    ``files`` by path (bytes, text, or a dictionary that is written as JSON); ``absent`` holds :func:`lfs` and
    :func:`missing` files. ``configs`` and ``config`` follow from the JSON files unless given. With ``steps``
    the history, the blobs, the revision and (unless ``files`` is given) the newest files follow from them.
    """

    def __init__(
        self,
        files: Contents | None = None,
        *,
        absent: Sequence[File] = (),
        steps: Sequence[Step] = (),
        history: History | None = None,
        configs: Mapping[str, Json] | None = None,
        config: Mapping[str, Json] | None = None,
        tokenizer: Tokenizer | None = None,
        tensors: Tensors | None = None,
        card: Card | None = None,
        ref: str = "fake",
        revision: str | None = None,
        revision_time: int | None = None,
        later: Release | None = None,
        foreign: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.ref, self.kind, self.revision, self.revision_time = ref, "folder", revision, revision_time
        self.tokenizer, self.tensors, self.history, self.card = tokenizer, tensors, history, card
        self.later = later
        self.foreign = foreign or {}
        self.faults: tuple[Unexamined, ...] = ()
        self.hashed: list[str] = []
        """Paths whose SHA-256 was asked for, in order."""
        self._absent, self._configs, self._config = absent, configs, config
        self._blobs: dict[str, bytes] = {}
        self._trees: dict[str, dict[str, bytes]] = {}
        if steps:
            self.kind = "git"
            self.history, self._blobs, trees = _history(steps)
            self._trees = {c.id: tree for c, tree in zip(self.history.commits, trees, strict=True)}
            last = self.history.commits[-1]
            self.revision, self.revision_time = last.id, last.time
            files = trees[-1] if files is None else files
        self._contents = {path: as_bytes(content) for path, content in (files or {}).items()}
        self._blobs |= {git_oid(content): content for content in self._contents.values()}

    @property
    def files(self) -> tuple[File, ...]:
        present = [File(p, len(c), Content.PRESENT, git_oid(c)) for p, c in self._contents.items()]
        return tuple(sorted([*present, *self._absent], key=lambda f: f.path))

    @property
    def digest(self) -> str:
        lines = (f"{f.path} {f.size} {f.git_oid} {f.sha256}\n" for f in self.files)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def configs(self) -> Mapping[str, Json]:
        if self._configs is not None:
            return self._configs
        names = {path: path.rsplit("/", 1)[-1] for path in self._contents}
        return {
            path: json.loads(self._contents[path])
            for path, name in sorted(names.items())
            if name.endswith(".json") and not name.endswith(".index.json") and name not in _TOKENIZER
        }

    @property
    def config(self) -> Mapping[str, Json]:
        if self._config is not None:
            return self._config
        models = {
            (path.count("/"), path): value
            for path, value in self.configs.items()
            if isinstance(value, dict) and (value.keys() & {"model_type", "architectures"})
        }
        return models[min(models)] if models else {}

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        content = self._contents.get(path)
        return content if content is not None and len(content) <= limit else None

    def blob(self, git_oid: str, limit: int = 1 << 20) -> bytes | None:
        content = self._blobs.get(git_oid)
        return content if content is not None and len(content) <= limit else None

    def sha256(self, path: str) -> str | None:
        self.hashed.append(path)
        if path in self._contents:
            return hashlib.sha256(self._contents[path]).hexdigest()
        return next((f.sha256 for f in self._absent if f.path == path), None)

    def at(self, revision: str) -> Release:
        assert self.history is not None
        time = next(c.time for c in self.history.commits if c.id == revision)
        then = FakeRelease(
            self._trees[revision], history=self.history, ref=self.ref, revision=revision, revision_time=time
        )
        then.kind, then._blobs, then._trees = self.kind, self._blobs, self._trees
        return then
