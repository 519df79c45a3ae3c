"""The digest manifest of a release: what its author can have stamped by a third party the day she publishes.

Canonical JSON (sorted keys, ASCII, one newline at the end), so that the same release gives the same bytes.
"""

from __future__ import annotations

import json
import re

from apograph.release.json_text import parse_json
from apograph.release.refuse import refuse
from apograph.release.types import Release

LARGEST = 64 << 20
"""Bytes of a manifest: 200,000 files with long names."""
VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


def manifest(release: Release) -> tuple[bytes, tuple[str, ...]]:
    """The manifest's bytes, and the paths of files without a digest (their content is absent or refused).

    Every file that the release lists is in it, with path, size, SHA-256 (null when unknown) and ``content``
    (``release.types.Content``: of "lfs" the digest is what the pointer states). Files are hashed in blocks.
    """
    listed = [(file, release.sha256(file.path)) for file in release.files]
    files = [
        {"path": f.path, "size": f.size, "sha256": digest, "content": f.content.value} for f, digest in listed
    ]
    value = {"apograph_manifest": VERSION, "release": release.digest, "files": files}
    text = json.dumps(value, sort_keys=True, indent=1)
    return text.encode("ascii") + b"\n", tuple(f.path for f, digest in listed if digest is None)


def manifest_digests(data: bytes, path: str = "") -> list[str]:
    """The SHA-256 digests (hex) that a manifest lists, sorted; names are free, so only digests count.

    A digest that was only stated by a Git-LFS pointer counts like any other: whoever can name it had the
    file, or had it from someone who did. Raises Refusal 2 for anything but a manifest.
    """
    value = parse_json(data, path, LARGEST)
    if not isinstance(value, dict) or value.get("apograph_manifest") != VERSION:
        raise refuse("witness.no_manifest", path)
    files = value.get("files")
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise refuse("witness.no_manifest", path)
    digests = sorted({d for d in (f.get("sha256") for f in files) if isinstance(d, str)})
    if not digests or not all(_SHA256.fullmatch(digest) for digest in digests):
        raise refuse("witness.no_digests", path)
    return digests
