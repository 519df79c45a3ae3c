"""Objects are what their ids say, and text in them is decoded without trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from apograph.findings import Refusal
from apograph.release.objects import (
    BLOB,
    COMMIT,
    LAST_SECOND,
    Entry,
    Objects,
    Person,
    parse_commit,
    parse_person,
    parse_tree,
    safe_name,
)
from tests.release.repos import FILE, LINK, SUBMODULE, TREE, Repo

OID = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path)


@pytest.mark.parametrize(
    ("line", "person"),
    [
        (b"A B <a@b> 12 +0130", Person("A B", "a@b", 12, 90)),
        (b"A B <a@b> 12 -0800", Person("A B", "a@b", 12, -480)),
        (b"a@b.c Name <x> 1 +0000", Person("Name", "x", 1, 0)),
        (b"\xff\xfe <m> 5 +0000", Person("\ufffd\ufffd", "m", 5, 0)),
        (b"N <m> -7 +0000", Person("N", "m", 0, 0)),
        (b"N <m> 9223372036854775808 +0000", Person("N", "m", LAST_SECOND, 0)),
        (b"N <m> 99999999999999999999999 +0000", Person("N", "m", 0, 0)),
        (b"N <m> 5 +9999", Person("N", "m", 5, 1439)),
        (b"N <m> 5 east", Person("N", "m", 5, 0)),
        (b"N <m <n> > 5 +0000", Person("N", "m <n> ", 5, 0)),
        (b"", Person("", "", 0, 0)),
        (b" " * 5000, Person("", "", 0, 0)),
    ],
)
def test_people(line: bytes, person: Person) -> None:
    assert parse_person(line) == person


def test_a_commit_keeps_the_first_of_each_field() -> None:
    data = (
        f"tree {OID}\nauthor A <a> 1 +0000\nauthor B <b> 2 +0000\ncommitter C <c> 3 +0000\n\nm\xff".encode()
    )
    commit = parse_commit(OID, data)
    assert (commit.author.name, commit.committer.time, commit.message) == ("A", 3, "m\xff")


@pytest.mark.parametrize("data", [b"", b"tree zz\n\n", f"tree {OID}\nparent short\n\n".encode()])
def test_a_malformed_commit_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_commit(OID, data)
    assert refused.value.code == 2


def test_a_tree_tells_files_folders_links_and_submodules() -> None:
    modes = [(FILE, "file"), (b"100755", "file"), (TREE, "tree"), (b"040000", "tree")]
    modes += [(LINK, "link"), (SUBMODULE, "submodule")]
    data = b"".join(mode + b" \xffn\0" + bytes.fromhex(OID) for mode, _ in modes)
    assert parse_tree(OID, data) == tuple(Entry("\udcffn", kind, OID) for _, kind in modes)


@pytest.mark.parametrize(
    "data", [b"100644 a\0short", b"100644", b"999999 a\0" + b"x" * 20, b"1 a\0" + b"x" * 20, b"\0" * 30]
)
def test_a_cut_tree_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_tree(OID, data)
    assert refused.value.code == 2


@pytest.mark.parametrize("name", ["", ".", "..", ".git", ".GIT", "a/b", "/abs"])
def test_names_that_no_path_may_have(name: str) -> None:
    assert not safe_name(name)
    assert safe_name(name.replace("/", "") + "x")


def test_content_is_read_by_kind_and_size(repo: Repo) -> None:
    oid = repo.blob(b"x" * 100)
    objects = Objects(str(repo.path))
    assert objects.header(oid) == (BLOB, 100)
    assert objects.read(oid, BLOB, 100) == b"x" * 100
    assert objects.read(OID, BLOB, 1) is None
    for kind, limit, code in ((COMMIT, 100, 2), (BLOB, 99, 5)):
        with pytest.raises(Refusal) as refused:
            objects.read(oid, kind, limit)
        assert refused.value.code == code


def test_content_that_is_not_what_its_id_says_is_refused(repo: Repo) -> None:
    repo.write("blob", b"something else", named=OID)
    with pytest.raises(Refusal) as refused:
        Objects(str(repo.path)).read(OID, BLOB, 100)
    assert refused.value.code == 2


def test_a_broken_object_is_refused(repo: Repo) -> None:
    oid = repo.blob(b"x" * 1000)
    (repo.path / "objects" / oid[:2] / oid[2:]).write_bytes(b"no zlib")
    with pytest.raises(Refusal) as refused:
        Objects(str(repo.path)).read(oid, BLOB, 10_000)
    assert (refused.value.code, refused.value.message.key) == (2, "release.git.unreadable")


def test_tags_are_peeled_and_loops_are_not_followed(repo: Repo) -> None:
    commit = repo.commit({}, time=1)
    tag = repo.write("tag", f"object {commit}\ntype commit\ntag v1\n\nm".encode())
    again = repo.write("tag", f"object {tag}\ntype tag\ntag v2\n\nm".encode())
    objects = Objects(str(repo.path))
    assert objects.peel(again) == commit
    assert objects.peel(repo.blob(b"x")) is None
    deep = again
    for n in range(20):
        deep = repo.write("tag", f"object {deep}\ntype tag\ntag t{n}\n\nm".encode())
    assert objects.peel(deep) is None


def test_prefixes(repo: Repo) -> None:
    oid = repo.commit({}, time=1)
    objects = Objects(str(repo.path))
    assert objects.prefix(oid[:7]) == oid
    assert objects.prefix("dddddddd") is None
    seen: dict[str, str] = {}
    number = 0
    while True:
        blob = repo.blob(b"%d" % number)
        if blob[:4] in seen:
            break
        seen[blob[:4]] = blob
        number += 1
    with pytest.raises(Refusal) as refused:
        Objects(str(repo.path)).prefix(blob[:4])
    assert (refused.value.code, refused.value.message.key) == (4, "release.git.ambiguous")
