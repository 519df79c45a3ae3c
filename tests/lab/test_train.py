"""Training is repeatable to the bit, learns, and leaves frozen parameters as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apograph.lab import corpus
from apograph.lab.families import FAMILIES
from apograph.lab.model import Model, load, save
from apograph.lab.train import Course, train
from tests.lab.untrained import initial

SMALL = FAMILIES["llama-small"]


def test_the_two_bodies_of_text_differ_and_one_tokenizer_reads_both() -> None:
    main, other = corpus.text("main"), corpus.text("other")
    assert len(main) > 1_000_000 < len(other)
    assert main[:5000] != other[:5000]
    made = corpus.tokenizer(512)
    assert made.get_vocab_size() == 512
    assert made.decode(made.encode(other[:3000]).ids) == other[:3000]
    assert [made.token_to_id(t) for t in corpus.SPECIAL] == [0, 1, 2]


def test_training_learns_and_repeats_to_the_bit() -> None:
    first, second = (train(SMALL, 3, Course(steps=50)) for _ in range(2))
    counts = np.bincount(corpus.tokens("main", 512))
    shares = counts[counts > 0] / counts.sum()
    unigram = -(shares * np.log(shares)).sum()  # nats per token by frequencies alone
    assert first.held_out < unigram - 0.05
    assert first.losses == second.losses
    for name, array in first.weights.items():
        assert np.array_equal(array, second.weights[name]), name


def test_order_and_seed_matter() -> None:
    course = Course(steps=2)
    same = train(SMALL, 1, course).weights["model.layers.0.mlp.up_proj.weight"]
    for other in (train(SMALL, 2, course), train(SMALL, 1, Course(steps=2, order=1))):
        assert not np.array_equal(other.weights["model.layers.0.mlp.up_proj.weight"], same)


def test_frozen_and_given_tensors_stay() -> None:
    given = {"model.embed_tokens.weight": initial(SMALL, 9)["model.embed_tokens.weight"]}
    made = train(SMALL, 1, Course(steps=3, frozen=(r"embed_tokens",)), start=given)
    assert np.array_equal(made.weights["model.embed_tokens.weight"], next(iter(given.values())))
    assert not np.array_equal(made.weights["lm_head.weight"], initial(SMALL, 1)["lm_head.weight"])


def test_a_student_learns_its_teacher_s_distribution() -> None:
    teacher = train(SMALL, 1, Course(steps=40)).weights
    student = train(SMALL, 2, Course(steps=40), teacher=(SMALL, teacher))
    assert student.losses[-1] < student.losses[0]
    assert student.held_out < 6.0


def test_a_masked_language_model_trains() -> None:
    made = train(FAMILIES["bert-small"], 0, Course(steps=20, rate=3e-3))
    assert made.losses[-1] < np.log(512)
    assert "cls.predictions.decoder.weight" not in made.weights


def test_a_release_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = Model(SMALL, initial(SMALL, 4), corpus.tokenizer(512).to_str())
    save(model, tmp_path / "release")
    again = load(tmp_path / "release")
    assert again.config == SMALL
    assert again.tokenizer == model.tokenizer
    assert {n: a.tobytes() for n, a in again.weights.items()} == {
        n: a.tobytes() for n, a in model.weights.items()
    }
