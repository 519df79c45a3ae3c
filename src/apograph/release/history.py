"""A repository's whole history: every commit that any reference reaches, and every version of every file.

Which content was current when is told along *lines*. The first line is HEAD's chain of first parents; each
further reference adds the commits of its own chain that no earlier line has; commits reached only as a later
parent of a merge form lines that end at that merge. A version begins at the commit of its line that brought
it and ends at the commit of the same line that replaced or removed it, or at the merge that ended the line;
one that still stands has no end. Times are the committers', as recorded.
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from apograph.findings import Json, Message, Refusal, Unexamined
from apograph.release.objects import Objects, RawCommit, safe_name
from apograph.release.refs import References
from apograph.release.source import Past, fault, note
from apograph.release.types import Change, Commit, History, Version

_MAIL = re.compile(r"<[^<>\s@]{1,64}@[^<>\s@]{1,255}>")
"""An address as trailers write it (Signed-off-by); a bare one may be a repository (git@host:owner/name)."""
MAX_COMMITS = 100_000
MAX_ENTRIES = 2_000_000
"""Entries of trees compared, over the whole history."""
MAX_CHANGES = 300_000
MAX_SECONDS = 30.0


class _Spent(Exception):  # noqa: N818 - a state, handled here
    """A bound was reached; what was read until then stands."""


class _Reader:
    def __init__(self, objects: Objects, references: References) -> None:
        self.objects = objects
        self.references = references
        self.until = time.monotonic() + MAX_SECONDS
        self.entries = self.changed = 0
        self.faults: dict[str, Unexamined] = {}
        self.tips = {name: tip for name, oid in references.tips.items() if (tip := objects.peel(oid))}
        if references.head_id and (tip := objects.peel(references.head_id)):
            self.tips["HEAD"] = tip

    def spend(self, entries: int = 1) -> None:
        self.entries += entries
        if self.entries > MAX_ENTRIES or time.monotonic() > self.until:
            raise _Spent

    def reachable(self) -> tuple[dict[str, RawCommit], bool]:
        """All commits by id, newest references first, and whether some were left out."""
        found: dict[str, RawCommit] = {}
        waiting = [(-self._time(oid), oid) for oid in set(self.tips.values())]
        heapq.heapify(waiting)
        while waiting:
            _, oid = heapq.heappop(waiting)
            commit = None if oid in found else self.objects.commit(oid)
            if commit is None:
                continue
            if len(found) >= MAX_COMMITS or time.monotonic() > self.until:
                return found, True
            found[oid] = commit
            for parent in commit.parents:
                if parent not in found:
                    heapq.heappush(waiting, (-self._time(parent), parent))
        return found, False

    def _time(self, oid: str) -> int:
        commit = self.objects.commit(oid)
        if commit is None:
            self.faults["shallow"] = note("git.shallow")
            return 0
        return commit.committer.time

    def changes(self, commit: RawCommit, commits: dict[str, RawCommit]) -> tuple[Change, ...]:
        """What differs from the first parent; everything, when that is not here."""
        parent = commits.get(commit.parents[0]) if commit.parents else None
        differences = self._differences(parent.tree if parent else None, commit.tree)
        changes = tuple(sorted(islice(differences, MAX_CHANGES - self.changed + 1), key=_path))
        self.changed += len(changes)
        if self.changed > MAX_CHANGES:
            raise _Spent
        return changes

    def _differences(self, before: str | None, after: str) -> Iterator[Change]:
        waiting: list[tuple[str, str | None, str | None]] = [("", before, after)]
        while waiting:
            prefix, old, new = waiting.pop()
            if old == new:
                continue
            was, now = self._entries(old), self._entries(new)
            for key in was.keys() | now.keys():
                a, b = was.get(key), now.get(key)
                if a == b:
                    continue
                name, is_tree = key
                if is_tree:
                    waiting.append((f"{prefix}{name}/", a, b))
                else:
                    yield Change(prefix + name, a, b)

    def _entries(self, oid: str | None) -> dict[tuple[str, bool], str]:
        if oid is None:
            return {}
        entries = self.objects.tree(oid)
        if entries is None:
            self.faults["tree"] = note("git.no_tree", oid=oid)
            return {}
        self.spend(1 + len(entries))
        return {
            (e.name, e.kind == "tree"): e.oid for e in entries if e.kind != "submodule" and safe_name(e.name)
        }


def _path(change: Change) -> str:
    return change.path


def read_history(objects: Objects, references: References) -> Past:
    """The history of all references. ``truncated`` is set when a bound ended the reading: the oldest
    commits, or the changes of the newest, are then absent, and a fault with code 5 says so."""
    reader = _Reader(objects, references)
    found, truncated = reader.reachable()
    order = _oldest_first(found)
    changes: dict[str, tuple[Change, ...]] = {}
    try:
        for commit in order:
            changes[commit.id] = reader.changes(commit, found)
    except _Spent:
        truncated = True
    names = _names(reader.tips)
    commits = tuple(
        Commit(
            c.id,
            c.parents,
            c.author.name,
            c.author.time,
            c.author.offset,
            c.committer.time,
            c.committer.offset,
            _MAIL.sub("<…>", c.message),
            changes.get(c.id, ()),
            names.get(c.id, ()),
        )
        for c in order
    )
    if truncated:
        reader.faults["truncated"] = fault("git.truncated", code=5, n=len(changes))
    if references.replaced:
        reader.faults["replaced"] = note("git.replaced")
    lines = _lines(order, found, reader.tips)
    return Past(History(commits, _versions(commits, lines), truncated), tuple(reader.faults.values()))


def _oldest_first(found: dict[str, RawCommit]) -> list[RawCommit]:
    """By committer time, but never a commit before its parents."""
    children: dict[str, list[str]] = {oid: [] for oid in found}
    missing: dict[str, int] = {}
    for oid, commit in found.items():
        known = {parent for parent in commit.parents if parent in found}
        missing[oid] = len(known)
        for parent in known:
            children[parent].append(oid)
    ready = [(found[oid].committer.time, oid) for oid, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, oid = heapq.heappop(ready)
        order.append(found[oid])
        for child in children[oid]:
            missing[child] -= 1
            if missing[child] == 0:
                heapq.heappush(ready, (found[child].committer.time, child))
    return order


def _names(tips: dict[str, str]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for name, oid in sorted(tips.items()):
        if name != "HEAD":
            names.setdefault(oid, []).append(short_name(name))
    return {oid: tuple(found) for oid, found in names.items()}


def short_name(name: str) -> str:
    """A reference as people write it: main, v1.0, origin/main."""
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _lines(
    order: list[RawCommit], found: dict[str, RawCommit], tips: dict[str, str]
) -> dict[str, tuple[int, str | None]]:
    """For each commit its line's number and the merge that ends the line."""
    lines: dict[str, tuple[int, str | None]] = {}
    count = 0

    def follow(oid: str | None, merge: str | None) -> None:
        nonlocal count
        count += 1
        while oid in found and oid not in lines:
            lines[oid] = (count, merge)
            oid = found[oid].parents[0] if found[oid].parents else None

    for name in sorted(tips, key=lambda n: (n != "HEAD", not n.startswith("refs/heads/"), n)):
        follow(tips[name], None)
    for commit in reversed(order):
        for parent in commit.parents[1:]:
            follow(parent, commit.id)
    return lines


def _versions(commits: tuple[Commit, ...], lines: dict[str, tuple[int, str | None]]) -> tuple[Version, ...]:
    times = {commit.id: commit.time for commit in commits}
    current: dict[tuple[int, str], Version] = {}
    ends: dict[int, str | None] = {}
    versions: list[Version] = []

    def close(version: Version, by: str) -> None:
        versions.append(Version(version.path, version.git_oid, version.commit, version.since, times[by], by))

    for commit in commits:
        line, ends[line] = lines[commit.id]
        for change in commit.changes:
            old = current.pop((line, change.path), None)
            if old is not None:
                close(old, commit.id)
            if change.after is not None:
                current[line, change.path] = Version(change.path, change.after, commit.id, commit.time, None)
    for (line, _), version in current.items():
        merge = ends[line]
        if merge is None:
            versions.append(version)
        else:
            close(version, merge)
    place = {commit.id: n for n, commit in enumerate(commits)}
    return tuple(sorted(versions, key=lambda v: (v.path, v.since, place[v.commit])))


def newest_not_after(commits: Sequence[Commit], not_after: int, path: str) -> dict[str, Json]:
    """The newest commit with a committer time up to ``not_after``: {"id", "time", "later"}; ``later`` is the
    newest commit of all, when that is another. Of equal times the one that stands later in the history.

    Raises Refusal 4 (``release.git.none_so_old``) when every commit is later.
    """
    then = [commit for commit in commits if commit.time <= not_after]
    if not then:
        first = datetime.fromtimestamp(min(commit.time for commit in commits), UTC)
        raise Refusal(4, Message("release.git.none_so_old", {"first": f"{first:%Y-%m-%dT%H:%M:%SZ}"}), path)
    chosen, newest = _newest(then), _newest(commits)
    return {"id": chosen.id, "time": chosen.time, "later": newest.id if newest != chosen else None}


def _newest(commits: Sequence[Commit]) -> Commit:
    return commits[max(range(len(commits)), key=lambda i: (commits[i].time, i))]
