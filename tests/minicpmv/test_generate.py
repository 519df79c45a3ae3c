"""Merged embeddings, logits and generated ids equal to the original code's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from apograph.minicpmv.config import Config
from apograph.minicpmv.generate import BEAMS, GREEDY, SAMPLING, Decoding, choose, generate, stream
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message, Prompt, build
from apograph.minicpmv.tokens import Tokenizer

QUESTION = "What is written in this image? List every word."
SINGLE = [
    "square448",
    "tiny100x60",
    "small1to9_37x333",
    "vga640x480",
    "wide1000x300",
    "tall1to9_200x1800",
    "phone1080x1920",
    "max1344",
    "tall1to9_600x5400",
]
CHATS = ["chat_two_images", "chat_multi_turn_system", "chat_text_only"]
PRESETS = {
    "greedy": Decoding(max_new_tokens=24),
    "greedy_repetition_penalty_1_2": Decoding(max_new_tokens=24, repetition_penalty=1.2),
    "beam3_repetition_penalty_1_2": Decoding(max_new_tokens=24, beams=3, repetition_penalty=1.2),
}


@pytest.fixture(scope="module")
def prompts(cases: dict[str, Any], picture: Any, tokenizer: Tokenizer, config: Config) -> dict[str, Prompt]:
    messages = {name: [Message("user", (picture(name), QUESTION))] for name in SINGLE}
    messages["chat_text_only"] = [Message("user", ("Describe the picture, please.",))]
    for name in CHATS[:2]:
        case, names = cases[name], iter(cases[name]["images"])
        messages[name] = [Message("system", (case["system"],))] if case["system"] else []
        for m in case["messages"]:
            parts = tuple(picture(next(names)) if p == "<IMAGE>" else p for p in m["content"])
            messages[name].append(Message(m["role"], parts))
    return {name: build(given, tokenizer, config) for name, given in messages.items()}


@pytest.fixture(scope="module")
def embeds(prompts: dict[str, Prompt], model: Model) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return {name: model.embed(prompt) for name, prompt in prompts.items()}


@pytest.mark.parametrize("name", SINGLE + CHATS)
def test_embeddings_logits_and_ids(
    name: str,
    model: Model,
    embeds: dict[str, torch.Tensor],
    vectors: dict[str, torch.Tensor],
    cases: dict[str, Any],
    tokenizer: Tokenizer,
) -> None:
    merged = embeds[name]
    if f"{name}.merged_embeds" in vectors:
        torch.testing.assert_close(merged, vectors[f"{name}.merged_embeds"], atol=1e-4, rtol=0)
    if f"{name}.merged_embeds_samples" in vectors:
        at = torch.linspace(0, merged.numel() - 1, 512, dtype=torch.float64).round().long()
        expected = vectors[f"{name}.merged_embeds_samples"]
        torch.testing.assert_close(merged.flatten()[at], expected, atol=1e-4, rtol=0)
    with torch.inference_mode():
        logits = model(merged[None])[0]
    torch.testing.assert_close(logits[-1], vectors[f"{name}.logits_last"], atol=1e-4, rtol=0)
    if f"{name}.logits_all" in vectors:
        torch.testing.assert_close(logits, vectors[f"{name}.logits_all"], atol=1e-4, rtol=0)
    for preset, decoding in PRESETS.items():
        found = generate(model, [merged], decoding, tokenizer.special.stops)[0]
        assert found == cases[name]["generation"][preset], preset


def test_unequal_prompts_in_one_batch_answer_as_alone(
    model: Model, embeds: dict[str, torch.Tensor], cases: dict[str, Any], tokenizer: Tokenizer
) -> None:
    names = ["chat_text_only", "vga640x480", "chat_two_images", "max1344"]
    for preset, decoding in PRESETS.items():
        found = generate(model, [embeds[n] for n in names], decoding, tokenizer.special.stops)
        assert found == [cases[n]["generation"][preset] for n in names], preset


def test_the_presets_are_the_published_ones() -> None:
    assert (SAMPLING.top_p, SAMPLING.top_k, SAMPLING.temperature) == (0.8, 100, 0.7)
    assert (SAMPLING.repetition_penalty, SAMPLING.sample, SAMPLING.beams) == (1.05, True, 1)
    assert (BEAMS.beams, BEAMS.repetition_penalty, BEAMS.length_penalty) == (3, 1.2, 1.0)
    assert {d.max_new_tokens for d in (SAMPLING, BEAMS, GREEDY)} == {1024}


def test_sampling_is_repeatable_and_seeds_differ(
    model: Model, embeds: dict[str, torch.Tensor], tokenizer: Tokenizer
) -> None:
    def draw(seed: int) -> list[list[int]]:
        decoding = Decoding(max_new_tokens=12, sample=True, seed=seed, temperature=2.0, top_p=0.99)
        return generate(model, [embeds["chat_text_only"]], decoding, tokenizer.special.stops)

    assert draw(1) == draw(1)
    assert len({str(draw(seed)) for seed in range(6)}) > 1


def test_sampling_keeps_to_top_k_and_top_p() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.15, 0.1]]))
    generator = torch.Generator().manual_seed(0)

    def ids(**options: Any) -> set[int]:
        decoding = Decoding(sample=True, **{"temperature": 1.0, "top_p": 1.0, "top_k": 4, **options})
        return {int(choose(logits, decoding, generator)) for _ in range(300)}

    assert ids() == {0, 1, 2, 3}
    assert ids(top_k=2) == {0, 1}
    assert ids(top_p=0.75) == {0, 1}  # 0.5 + 0.25 reaches 0.75 exactly, as transformers counts it
    assert ids(top_p=0.76) == {0, 1, 2}
    assert ids(top_p=0.01) == {0}


def test_stream_gives_none_after_a_row_has_ended(
    model: Model, embeds: dict[str, torch.Tensor], tokenizer: Tokenizer
) -> None:
    rows = [embeds["chat_text_only"], embeds["square448"]]
    steps = list(stream(model, rows, Decoding(max_new_tokens=8), tokenizer.special.stops))
    assert [s[0] for s in steps] == [346, 250, 201, 339, None, None, None, None]
    assert None not in [s[1] for s in steps]


def test_a_stop_below_the_first_beams_is_no_hypothesis() -> None:
    from apograph.minicpmv.generate import beam_search

    first = torch.full((10,), 1e-9)
    first[[0, 1, 3]] = torch.tensor([0.40, 0.35, 0.25])

    class Fixed:
        """First the distribution above, then a flat one."""

        device = torch.device("cpu")
        calls = 0

        def embedding(self, ids: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(ids), 1)

        def __call__(self, embeds: torch.Tensor, *_: Any, keep: int) -> torch.Tensor:
            self.calls += 1
            logits = first.log() if self.calls == 1 else torch.zeros(10)
            return logits.expand(len(embeds), keep, 10)

    decoding = Decoding(beams=2, max_new_tokens=2)
    found = beam_search(Fixed(), torch.zeros(1, 1), decoding, (3,))  # type: ignore[arg-type]
    # log 0.25 would beat (log 0.40 + log 0.10) / 2, but the stop was only third of two.
    assert len(found) == 2
    assert found[0] == 0
