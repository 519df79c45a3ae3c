"""Git repositories built object by object, without git: hostile ones too, and the same ids every time."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

FILE, EXECUTABLE, LINK, TREE, SUBMODULE = b"100644", b"100755", b"120000", b"40000", b"160000"
Tree = Mapping[str, "bytes | Tree"]


class Repo:
    """A bare repository at ``path`` of loose objects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (path / folder).mkdir(parents=True)
        (path / "HEAD").write_text("ref: refs/heads/main\n")

    def write(self, kind: str, data: bytes, *, named: str | None = None, store: bool = True) -> str:
        """Store an object (under another id, if ``named``); its id."""
        whole = f"{kind} {len(data)}\0".encode() + data
        oid = named or hashlib.sha1(whole).hexdigest()
        target = self.path / "objects" / oid[:2] / oid[2:]
        if store and not target.exists():
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(zlib.compress(whole))
        return oid

    def blob(self, data: bytes, *, store: bool = True) -> str:
        return self.write("blob", data, store=store)

    def entries(self, *entries: tuple[bytes, bytes, str]) -> str:
        """A tree of (mode, name, id) as given, whatever they are."""
        return self.write("tree", b"".join(m + b" " + n + b"\0" + bytes.fromhex(o) for m, n, o in entries))

    def tree(self, files: Tree) -> str:
        """A tree of nested mappings: names to contents."""
        made = []
        for name, value in files.items():
            folder = isinstance(value, Mapping)
            oid = self.tree(value) if isinstance(value, Mapping) else self.blob(value)
            made.append((name + "/" * folder, (TREE if folder else FILE, name.encode(), oid)))
        return self.entries(*(entry for _, entry in sorted(made)))

    def commit(
        self,
        tree: str | Tree,
        *parents: str,
        time: int = 0,
        message: str = "a change",
        branch: str | None = "main",
        author: bytes = b"A U Thor <author@example.org>",
    ) -> str:
        """A commit at ``time``, to which ``branch`` is moved."""
        root = tree if isinstance(tree, str) else self.tree(tree)
        lines = [f"tree {root}".encode(), *(f"parent {parent}".encode() for parent in parents)]
        lines += [kind + b" " + author + b" %d +0200" % time for kind in (b"author", b"committer")]
        oid = self.write("commit", b"\n".join(lines) + b"\n\n" + message.encode())
        if branch:
            self.ref(f"refs/heads/{branch}", oid)
        return oid

    def ref(self, name: str, value: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(value + "\n")


def pointer(sha256: str = "ab" * 32, size: int = 5_000_000_000) -> bytes:
    """A Git-LFS pointer."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
