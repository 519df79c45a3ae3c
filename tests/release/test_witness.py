"""Tokens of a real authority and bundles of a made-up log: what holds, and everything that must not."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.release.witness import Roots, read_roots, read_witness
from apograph.release.witness_log import root_of
from tests.release.timestamps import Authority, Log, b64, tree

DIGEST = hashlib.sha256(b"weights").hexdigest()
MANIFEST = json.dumps({"apograph_manifest": 1, "files": [{"path": "w", "sha256": DIGEST}]})

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.json"
    path.write_text(MANIFEST)
    return path


def refused(path: str, roots: Roots) -> str:
    with pytest.raises(Refusal) as raised:
        read_witness(path, roots)
    assert raised.value.code == 2
    return raised.value.message.key.removeprefix("readers.witness.")


@pytest.mark.parametrize(
    ("ending", "digest", "more"),
    [
        (".tsr", "sha256", ()),
        (".tsr", "sha512", ("-chain", "ca.pem")),  # two certificates, in no order
        (".tst", "sha256", ("-token_out",)),
        (".tst", "sha384", ("-token_out", "-chain", "ca.pem")),
    ],
)
def test_a_stamp_that_holds(
    authority: Authority, manifest: Path, ending: str, digest: str, more: tuple[str, ...]
) -> None:
    before = int(time.time())
    path = authority.stamp(manifest, ending, digest, *more)
    got = read_witness(path, read_roots([authority.root]))
    assert before <= got.time <= time.time() + 1
    assert (got.kind, got.authority, got.trusted) == ("timestamp", "CN=Stamps", True)
    assert got.digests == {DIGEST}
    der = Path(path).read_bytes()
    (manifest.parent / "m.json.pem").write_text(f"-----BEGIN X-----\n{b64(der)}\n-----END X-----\n")
    assert read_witness(f"{manifest}.pem", read_roots([authority.root])).time == got.time


def test_without_roots_nobody_vouches(authority: Authority, manifest: Path) -> None:
    assert not read_witness(authority.stamp(manifest), Roots()).trusted


def test_a_manifest_that_was_altered(authority: Authority, manifest: Path) -> None:
    path = authority.stamp(manifest)
    manifest.write_text(MANIFEST + " ")
    assert refused(path, read_roots([authority.root])) == "other_bytes"
    assert refused(path, Roots()) == "other_bytes"


def test_another_root(authority: Authority, manifest: Path, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    assert refused(authority.stamp(manifest), read_roots([other.root])) == "not_vouched"


def test_a_certificate_for_something_else(authority: Authority, manifest: Path) -> None:
    path = Path(authority.stamp(manifest))
    stamping, mail = (bytes.fromhex(f"2b060105050703{purpose}") for purpose in ("08", "04"))
    assert path.read_bytes().count(stamping) == 1
    path.write_bytes(path.read_bytes().replace(stamping, mail))
    assert refused(str(path), read_roots([authority.root])) == "purpose"


@pytest.mark.parametrize(
    ("years", "expected"), [((2001, 2002), "not_vouched"), ((2090, 2091), "not_vouched"), ((2001, 2091), "")]
)
def test_a_certificate_must_have_been_valid_then(
    manifest: Path, tmp_path: Path, years: tuple[int, int], expected: str
) -> None:
    odd = Authority(tmp_path / "odd")
    odd.valid(datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[1], 1, 1, tzinfo=UTC))
    path, roots = odd.stamp(manifest), read_roots([odd.root])
    if expected:
        assert refused(path, roots) == expected
    else:
        assert read_witness(path, roots).trusted


def test_a_weak_hash(authority: Authority, manifest: Path) -> None:
    roots = read_roots([authority.root])
    assert refused(authority.stamp(manifest, ".tsr", "sha1"), roots) == "weak_hash"
    signed = authority.stamp(manifest, ".tsr", "sha256", "-sha1")
    assert refused(signed, roots) == "weak_hash", "in the signature"


def test_every_cut_and_many_altered_bytes_are_refused(authority: Authority, manifest: Path) -> None:
    path = authority.stamp(manifest)
    roots = read_roots([authority.root])
    whole, good = Path(path).read_bytes(), read_witness(path, roots)
    for cut in range(0, len(whole), 41):
        Path(path).write_bytes(whole[:cut])
        assert refused(path, roots)
    kept = 0
    for place in range(0, len(whole), 7):
        Path(path).write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with suppress(Refusal):
            got = read_witness(path, roots)
            kept += 1
            assert (got.time, got.digests) == (good.time, good.digests), "what is not signed tells nothing"
    assert kept * 7 < 0.2 * len(whole)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_nonsense(manifest: Path, size: int) -> None:
    path = Path(f"{manifest}.tsr")
    path.write_bytes(os.urandom(size))
    assert refused(str(path), Roots()) == "no_token"


def test_what_is_too_large_absent_or_badly_named(manifest: Path) -> None:
    path = Path(f"{manifest}.tsr")
    with path.open("wb") as stream:
        stream.truncate(50 << 20)
    for name, code in ((path, 5), (Path(f"{manifest}.tst"), 4), (manifest, 4)):
        with pytest.raises(Refusal) as raised:
            read_witness(str(name), Roots())
        assert raised.value.code == code


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"apograph_manifest": 1, "files": [{"sha256": "x"}]}'])
def test_no_manifest(authority: Authority, manifest: Path, text: str) -> None:
    path = authority.stamp(manifest)
    manifest.write_text(text)
    with pytest.raises(Refusal) as raised:
        read_witness(path, Roots())
    assert raised.value.code == 2


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_no_roots(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.pem").write_text(text)
    with pytest.raises(Refusal) as raised:
        read_roots([str(tmp_path / "r.pem")])
    assert raised.value.code == 2


WHEN = 1_716_900_000


@pytest.fixture
def log(tmp_path: Path) -> tuple[Log, Roots]:
    log = Log()
    (tmp_path / "log.pem").write_bytes(log.pem)
    return log, read_roots([str(tmp_path / "log.pem")])


def bundled(manifest: Path, bundle: object) -> str:
    path = Path(f"{manifest}.sigstore.json")
    path.write_text(json.dumps(bundle))
    return str(path)


def test_an_entry_of_a_log(manifest: Path, log: tuple[Log, Roots]) -> None:
    bundle = log[0].bundle(MANIFEST.encode(), WHEN)
    got = read_witness(bundled(manifest, bundle), log[1])
    assert (got.kind, got.time, got.trusted, got.digests) == ("log", WHEN, True, {DIGEST})
    assert got.authority == hashlib.sha256(log[0].der).hexdigest()
    assert not read_witness(bundled(manifest, bundle), Roots()).trusted


def test_what_must_not_hold_of_a_log(manifest: Path, log: tuple[Log, Roots]) -> None:
    def altered(change: Callable[[dict[str, Any]], object], roots: Roots = log[1]) -> str:
        bundle = log[0].bundle(MANIFEST.encode(), WHEN)
        change(bundle["verificationMaterial"]["tlogEntries"][0])
        return refused(bundled(manifest, bundle), roots)

    assert altered(lambda e: e.update(integratedTime=str(WHEN - 86400))) == "promise", "an earlier date"
    assert altered(lambda e: e.update(logIndex="7")) == "promise"
    assert altered(lambda e: e.pop("inclusionPromise")) == "no_promise"
    assert altered(lambda e: e["inclusionProof"].update(logIndex="1")) == "inclusion"
    assert altered(lambda e: e["inclusionProof"]["hashes"].pop()) == "inclusion"
    assert altered(lambda e: e["inclusionProof"]["hashes"].append(b64(bytes(32)))) == "inclusion"
    assert altered(lambda e: e["inclusionProof"]["checkpoint"].update(envelope="x")) == "checkpoint"
    assert altered(lambda e: e["inclusionProof"].update(treeSize="9" * 30)) == "inclusion"
    assert altered(lambda e: e.update(integratedTime="1e9")) == "no_bundle"
    assert altered(lambda e: e.clear()) == "no_bundle"
    other = Roots(keys=(base64.b64encode(Log().der).decode(),))
    assert altered(lambda e: None, other) == "unknown_log"
    assert refused(bundled(manifest, log[0].bundle(b"another manifest", WHEN)), log[1]) == "other_bytes"
    assert refused(bundled(manifest, {"verificationMaterial": []}), log[1]) == "no_bundle"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_inclusion_paths_lead_to_the_root_and_no_other_index_does(case: tuple[int, int]) -> None:
    size, index = case
    leaves = [hashlib.sha256(b"\0%d" % n).digest() for n in range(size)]
    root, path = tree(leaves, index)
    assert root_of(leaves[index], index, size, path) == root
    for other in {0, index - 1, index + 1, size - 1} - {index}:
        assert root_of(leaves[index], other, size, path) != root
    assert root_of(leaves[index], index, size, [*path, bytes(32)]) != root
