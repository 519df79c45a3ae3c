"""A tiny model learns glyphs by heart; an interrupted training ends as an uninterrupted one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

pytest.importorskip("peft", reason="the extra vlm is not installed")

from apograph.findings import Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.engine import Engine
from apograph.minicpmv.examples import Example, read_examples
from apograph.minicpmv.finetune import Recipe, load_adapter, merge, rate_at, train
from apograph.minicpmv.generate import Decoding
from apograph.minicpmv.image import open_picture
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message
from apograph.minicpmv.tokens import Tokenizer

GLYPHS = "7AX"
RECIPE = Recipe(steps=100, rate=3e-3, rank=8, alpha=8, dropout=0.0, save_every=1000)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Example, ...]:
    folder = tmp_path_factory.mktemp("glyphs")
    entries = []
    for glyph in GLYPHS:
        image = Image.new("RGB", (56, 56), "white")
        ImageDraw.Draw(image).text((14, 6), glyph, fill="black", font_size=40)
        image.save(folder / f"{glyph}.png")
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": f"It is {glyph}"}]
        entries.append({"id": glyph, "image": f"{glyph}.png", "conversations": turns})
    (folder / "data.json").write_text(json.dumps(entries))
    return read_examples(folder / "data.json")


def fresh(config: Config, weights: dict[str, torch.Tensor]) -> Model:
    model = Model(replace(config, scale_resolution=56, max_slice_nums=1))
    model.load_state_dict(weights)
    return model


def test_learns_by_heart_loads_back_and_merges(
    config: Config,
    weights: dict[str, torch.Tensor],
    tokenizer: Tokenizer,
    examples: tuple[Example, ...],
    tmp_path: Path,
) -> None:
    model = fresh(config, weights)
    losses = [loss for _, loss in train(model, tokenizer, examples, RECIPE, tmp_path)]
    assert sum(losses[-3:]) < 0.1 * sum(losses[:3])
    loaded = load_adapter(fresh(config, weights), tmp_path)
    merged = merge(load_adapter(fresh(config, weights), tmp_path))
    assert merged.state_dict().keys() == weights.keys()
    for example in examples:
        picture = next(iter(example.pictures.values())).read_bytes()
        answers = []
        for each in (loaded, merged):
            engine = Engine(each, tokenizer)
            question = Message("user", (engine.picture(open_picture(picture)), "?"))
            answers.append(engine.answer([question], Decoding(max_new_tokens=8)).text)
        assert answers == [f"It is {example.id}"] * 2


def test_resuming_ends_where_an_uninterrupted_training_ends(
    config: Config,
    weights: dict[str, torch.Tensor],
    tokenizer: Tokenizer,
    examples: tuple[Example, ...],
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, steps=5, save_every=2, dropout=0.1)
    whole = [loss for _, loss in train(fresh(config, weights), tokenizer, examples, recipe, tmp_path / "a")]
    running = train(fresh(config, weights), tokenizer, examples, recipe, tmp_path / "b")
    first = [next(running)[1] for _ in range(3)]  # saved after two steps, the third is lost
    running.close()
    rest = list(train(fresh(config, weights), tokenizer, examples, recipe, tmp_path / "b"))
    assert [step for step, _ in rest] == [2, 3, 4]
    assert first[:2] + [loss for _, loss in rest] == pytest.approx(whole, rel=1e-5)
    with pytest.raises(Refusal):
        next(train(fresh(config, weights), tokenizer, examples, replace(recipe, rank=4), tmp_path / "b"))


def test_the_recipe_is_the_published_one() -> None:
    recipe = Recipe()
    assert (recipe.rank, recipe.alpha, recipe.dropout, recipe.rate) == (64, 64, 0.05, 1e-6)
    assert (recipe.steps, recipe.warmup, recipe.weight_decay, recipe.beta2) == (10_000, 0.01, 0.1, 0.95)
    assert rate_at(99, recipe) == pytest.approx(1e-6)
    assert rate_at(0, recipe) == pytest.approx(1e-8)
    assert rate_at(5050, recipe) == pytest.approx(0.5e-6, rel=1e-3)
    assert rate_at(9999, recipe) < 1e-12


def test_small_steps_are_not_lost_in_the_rounding_of_bfloat16(
    config: Config,
    weights: dict[str, torch.Tensor],
    tokenizer: Tokenizer,
    examples: tuple[Example, ...],
    tmp_path: Path,
) -> None:
    """Eight steps of at most 1e-5 each move many weights whose unit in the last place is larger than one."""
    recipe = replace(RECIPE, steps=8, rate=1e-5, warmup=0.0, weight_decay=0.0, save_every=4)
    model = fresh(config, weights).to(torch.bfloat16)
    list(train(model, tokenizer, examples, recipe, tmp_path))
    start = weights["resampler.proj"].to(torch.bfloat16)
    moved = (model.state_dict()["resampler.proj"] != start)[start.abs() > 2**-7]
    assert 0.01 < moved.float().mean() < 1
    again = load_adapter(fresh(config, weights).to(torch.bfloat16), tmp_path)
    assert torch.equal(again.state_dict()["resampler.proj"], model.state_dict()["resampler.proj"])
