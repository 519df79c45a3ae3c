"""What a published model is made of, as plain data: the contract between the readers and everyone else.

Text in these types is untrusted. Nothing here was executed to obtain it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

from apograph.findings import Json, Unexamined


class Content(Enum):
    """Whether a file's bytes can be read. LFS: only a pointer is stored, its SHA-256 and size are known.
    MISSING: the git object is named but its content is in no pack (partial clone). REFUSED: unsafe."""

    PRESENT = "present"
    LFS = "lfs"
    MISSING = "missing"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class File:
    """One file of one revision. ``path`` is POSIX, relative to the release. ``size`` in bytes of the real
    content (the LFS pointer's own claim for LFS), None when unknown. ``git_oid`` is the blob id (hex);
    ``sha256`` of the real content (for LFS the pointer's oid), None when it was not computed (see
    ``Release.sha256``)."""

    path: str
    size: int | None
    content: Content = Content.PRESENT
    git_oid: str | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as a header or an index declares it. From an index alone, ``shape`` and ``dtype`` are None.
    ``start`` and ``stop`` are byte offsets in ``file``. ``dtype`` uses the safetensors spelling (BF16, F32,
    I8 ...), or the GGUF type name (Q4_K ...)."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str | None
    file: str
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Tensors:
    """All tensors of one checkpoint, in the order in which the release lists them.

    ``source``: "headers" (shapes known) or "index" (names and files only). ``total_size``: bytes that the
    index claims (metadata.total_size), else the sum over headers. ``metadata``: free metadata of the files.
    """

    entries: tuple[TensorInfo, ...]
    source: Literal["headers", "index"]
    total_size: int | None = None
    path: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token outside the trained vocabulary."""

    id: int
    content: str
    special: bool = False
    flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer read as data from tokenizer.json, tokenizer_config.json and their companions.

    ``vocab`` maps token to id (None when no file holds it). ``merges`` in rank order. ``special`` maps a role
    (bos_token ...) to its token. ``parts`` holds normalizer, pre_tokenizer, post_processor, decoder and model
    type as JSON. ``config`` is tokenizer_config.json. ``separators`` are the image and slice tokens by role.
    """

    vocab: Mapping[str, int] | None
    merges: tuple[str, ...] | None
    added: tuple[AddedToken, ...]
    special: Mapping[str, str]
    parts: Mapping[str, Json]
    config: Mapping[str, Json]
    chat_template: str | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """The model card's front matter (YAML, read as data) and text. ``declared`` keeps base_model, license,
    datasets, language ... as they stand there."""

    path: str
    declared: Mapping[str, Json]
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A path whose content differs from the first parent: ``before`` / ``after`` are blob ids or None."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. Times are seconds since 1970 UTC as recorded (forgeable), clamped to years 1970 to 9999;
    offsets are minutes east of UTC. Archives keep the author's time; it dates nothing. ``author`` never holds
    a mail address. ``refs`` names the branches and tags that point here."""

    id: str
    parents: tuple[str, ...]
    author: str
    author_time: int
    author_offset: int
    time: int
    offset: int
    message: str
    changes: tuple[Change, ...]
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One content of one path and the interval in which it was current: from the commit that brought it
    (``since``, ``commit``) to the one that replaced or removed it (``until``; None = still current)."""

    path: str
    git_oid: str
    commit: str
    since: int
    until: int | None
    until_commit: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All commits reachable from any ref, oldest first by committer time, and every version of every file."""

    commits: tuple[Commit, ...]
    versions: tuple[Version, ...]
    truncated: bool = False


class Release(Protocol):
    """A published model, opened safely and lazily. ``release.open`` makes one.

    Everything a property returns was parsed in a limited worker process; what could not be read is in
    ``faults`` (which grows as properties are used) and the property returns its empty value.
    """

    @property
    def ref(self) -> str:
        """As the user named it."""

    @property
    def kind(self) -> str:
        """folder, git, hub, file or archive."""

    @property
    def revision(self) -> str | None:
        """Commit id, where there is one."""

    @property
    def revision_time(self) -> int | None:
        """Committer time of the revision, seconds since 1970 UTC."""

    @property
    def files(self) -> tuple[File, ...]:
        """Sorted by path."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the sorted manifest of paths, sizes and identities."""

    @property
    def configs(self) -> Mapping[str, Json]:
        """Every JSON configuration file (config.json, generation_config.json, preprocessor_config.json ...)
        by path; tokenizer files and tensor indexes excluded."""

    @property
    def config(self) -> Mapping[str, Json]:
        """The main config.json: the shallowest one that names a model_type or architectures ({} if none)."""

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Parsed tokenizer files; None where there are none."""

    @property
    def tensors(self) -> Tensors | None:
        """Names, shapes and types from the headers of weight files or their index; None without."""

    @property
    def foreign(self) -> Mapping[str, tuple[str, ...]]:
        """For each PyTorch file (path), the functions and classes that its pickles name although no saved
        tensor needs them."""

    @property
    def history(self) -> History | None:
        """Commits and the versions of every file; None where there is no history."""

    @property
    def card(self) -> Card | None:
        """The model card; None without."""

    @property
    def faults(self) -> tuple[Unexamined, ...]:
        """What could not be read so far, and what is absent by publication."""

    @property
    def later(self) -> Release | None:
        """The newest revision, when this release was opened at an older one because of ``not_after``."""

    def read(self, path: str, limit: int = 1 << 20) -> bytes | None:
        """Content of a file of this revision; None when absent by publication. Faults are recorded."""

    def blob(self, git_oid: str, limit: int = 1 << 20) -> bytes | None:
        """Content of any blob of the repository, any revision; None when absent."""

    def sha256(self, path: str) -> str | None:
        """SHA-256 of a file, computed now if need be (large weight files are not hashed at opening)."""

    def at(self, revision: str) -> Release:
        """The same repository at another commit."""
