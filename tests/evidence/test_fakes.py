"""The fakes keep the contract that the examiners rely on."""

import hashlib
import json

from apograph.release.types import Content, Release
from tests.evidence.fakes import FakeRelease, Step, git_oid, lfs, missing, tensors, tokenizer


def test_files_have_the_ids_that_git_gives() -> None:
    release: Release = FakeRelease({"b.txt": "hello\n", "a.json": {"x": 1}}, absent=[missing("c", "00" * 20)])
    assert [f.path for f in release.files] == ["a.json", "b.txt", "c"]
    assert release.files[1].git_oid == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert release.files[2].content is Content.MISSING
    assert release.configs == {"a.json": {"x": 1}}
    assert release.sha256("b.txt") == hashlib.sha256(b"hello\n").hexdigest()


def test_the_main_configuration_is_the_shallowest_that_names_a_model() -> None:
    release = FakeRelease(
        {"a/config.json": {"model_type": "deep"}, "z.json": {"model_type": "top"}, "b.json": {"n": 1}}
    )
    assert release.config == {"model_type": "top"}
    assert FakeRelease().config == {}


def test_steps_make_a_history_with_the_interval_of_every_version() -> None:
    release = FakeRelease(
        steps=[
            Step(10, {"a": "one", "b": "kept"}),
            Step(20, {"a": "two"}),
            Step(30, {"a": None}),
        ]
    )
    assert release.history is not None
    first, second, third = release.history.commits
    a1, a2, b = release.history.versions
    assert (a1.git_oid, a1.since, a1.until, a1.until_commit) == (git_oid(b"one"), 10, 20, second.id)
    assert (a2.since, a2.until, a2.until_commit) == (20, 30, third.id)
    assert (b.path, b.since, b.until) == ("b", 10, None)
    assert release.read("a") is None
    assert release.blob(git_oid(b"one")) == b"one"
    assert release.at(first.id).read("a") == b"one"
    assert release.revision == third.id


def test_pointers_tensors_and_tokenizers() -> None:
    pointer = lfs("m.safetensors", "ab" * 32, 7)
    assert (pointer.content, pointer.sha256, pointer.size) == (Content.LFS, "ab" * 32, 7)
    assert tensors(["w"]).source == "index"
    assert tensors({"w": (2, 3)}).entries[0].shape == (2, 3)
    assert tokenizer(added={"<slice>": 4}).added[0].content == "<slice>"
    assert json.loads(FakeRelease({"config.json": {"a": 1}}).read("config.json") or b"") == {"a": 1}
