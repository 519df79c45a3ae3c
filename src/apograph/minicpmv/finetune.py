"""LoRA fine-tuning with the recipe that the model's maintainers published.

Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on the attention projections of Llama-3, through peft;
the token embedding and the resampler train whole, the vision tower when asked. One conversation a step;
AdamW with a cosine schedule. The adapter, the optimiser and the step are saved together, so that training
goes on where it stopped.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from apograph.findings import Message, Refusal
from apograph.minicpmv.examples import IGNORED, Example, encode_example
from apograph.minicpmv.model import Model
from apograph.minicpmv.store import Reader, tensor_source, write
from apograph.minicpmv.tokens import Tokenizer

STATE, TENSORS = "training.json", "training.safetensors"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The published settings. ``targets`` are the projections that get adapters."""

    steps: int = 10_000
    rate: float = 1e-6
    warmup: float = 0.01
    weight_decay: float = 0.1
    beta2: float = 0.95
    rank: int = 64
    alpha: int = 64
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    tune_vision: bool = False
    save_every: int = 500
    seed: int = 0


def add_adapters(model: Model, recipe: Recipe) -> None:
    """Put adapters into the language model and mark what trains."""
    from peft import LoraConfig, inject_adapter_in_model

    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        bias="none",
        target_modules=r".*layers\.\d+\.self_attn\.(" + "|".join(recipe.targets) + ")",
    )
    model.requires_grad_(False)
    inject_adapter_in_model(lora, model.llm)
    whole: list[nn.Module] = [model.embedding, model.resampler, *([model.vpm] if recipe.tune_vision else [])]
    for module in whole:
        module.requires_grad_(True)


def merge(model: Model) -> Model:
    """Add the adapters to the weights and take them out: an ordinary model again."""
    from peft.tuners.lora import LoraLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, layer.get_base_layer())
    return model.requires_grad_(False).eval()


def trained(model: Model) -> dict[str, nn.Parameter]:
    """The parameters that train, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def loss_of(model: Model, example: Example, tokenizer: Tokenizer) -> Tensor:
    """Mean cross-entropy in nats, (), over the labelled positions of one conversation."""
    prompt, labels = encode_example(example, tokenizer, model.config)
    logits = model(model.embed(prompt)[None])[0].float()  # (T, vocab)
    return nn.functional.cross_entropy(logits, labels.to(logits.device), ignore_index=IGNORED)


def rate_at(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = max(math.ceil(recipe.steps * recipe.warmup), 1)
    if step < warm:
        return recipe.rate * (step + 1) / warm
    return recipe.rate * (1 + math.cos(math.pi * (step - warm) / max(recipe.steps - warm, 1))) / 2


def train(
    model: Model, tokenizer: Tokenizer, examples: Sequence[Example], recipe: Recipe, out: Path
) -> Iterator[tuple[int, float]]:
    """Train to ``recipe.steps``, yielding (step, loss); goes on from ``out`` when it holds a saved state.

    Raises Refusal(4) when the state in ``out`` was made with another recipe.
    """
    torch.manual_seed(recipe.seed)
    add_adapters(model, recipe)
    model.train()
    for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):  # its newer, older name
        if hasattr(model.llm, name):
            getattr(model.llm, name)({"use_reentrant": False})
            break
    parameters = trained(model)
    masters = {name: _master(parameter) for name, parameter in parameters.items()}
    optimiser = torch.optim.AdamW(
        masters.values(), lr=recipe.rate, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay
    )
    first = _resume(out, masters, optimiser, recipe)
    _copy(masters, parameters)
    for step in range(first, recipe.steps):
        torch.manual_seed(recipe.seed + step)  # the same dropout and order whether or not it was interrupted
        order = torch.randperm(len(examples), generator=_epoch(recipe, step // len(examples)))
        example = examples[int(order[step % len(examples)])]
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, recipe)
        loss = loss_of(model, example, tokenizer)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                masters[name].grad = parameter.grad.float()
        optimiser.step()
        _copy(masters, parameters)
        model.zero_grad()
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _save(out, masters, optimiser, recipe, step + 1)
        yield step, loss.item()


def _master(parameter: nn.Parameter) -> nn.Parameter:
    """The float32 value that is trained: a step of 1e-6 is lost in a weight's own rounding to bfloat16."""
    return parameter if parameter.dtype == torch.float32 else nn.Parameter(parameter.detach().float())


def _copy(masters: dict[str, nn.Parameter], parameters: dict[str, nn.Parameter]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            if masters[name] is not parameter:
                parameter.copy_(masters[name])


def _epoch(recipe: Recipe, number: int) -> torch.Generator:
    return torch.Generator().manual_seed(recipe.seed * 1_000_003 + number)


def _save(
    out: Path,
    parameters: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
) -> None:
    """Both files are written aside and renamed, the description last: a crash leaves the old state or the
    new."""
    out.mkdir(parents=True, exist_ok=True)
    sources = []
    for name, parameter in parameters.items():
        sources.append(tensor_source(name, parameter))
        for moment in ("exp_avg", "exp_avg_sq"):
            sources.append(tensor_source(f"{moment}:{name}", optimiser.state[parameter][moment]))
    file = f"step-{step}-{TENSORS}"
    write(out / f".{file}", sources)
    os.replace(out / f".{file}", out / file)
    state = {"step": step, "file": file, "recipe": asdict(recipe)}
    (out / f".{STATE}").write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    os.replace(out / f".{STATE}", out / STATE)
    for old in out.glob(f"step-*-{TENSORS}"):
        if old.name != file:
            old.unlink()


def _read(out: Path) -> tuple[dict[str, object], Reader]:
    from apograph.release.json_text import parse_json
    from apograph.release.safetensors_header import read_header

    state = parse_json((out / STATE).read_bytes(), STATE)
    file = out / Path(str(state["file"] if isinstance(state, dict) else "")).name
    with file.open("rb") as stream:
        entries = read_header(stream, file.stat().st_size, file.name).entries
    assert isinstance(state, dict)  # else the file above would not have been found
    return dict(state), Reader(out, {entry.name: entry for entry in entries})


def _resume(
    out: Path, parameters: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer, recipe: Recipe
) -> int:
    """Restore parameters and moments from ``out``; the step to go on with."""
    if not (out / STATE).exists():
        return 0
    state, reader = _read(out)
    if state["recipe"] != json.loads(json.dumps(asdict(recipe))):
        raise Refusal(4, Message("minicpmv.refused.recipe"), str(out))
    _fill(parameters, reader)
    for name, parameter in parameters.items():
        optimiser.state[parameter] = {
            "step": torch.tensor(float(str(state["step"]))),
            "exp_avg": reader.whole(f"exp_avg:{name}", device=str(parameter.device)),
            "exp_avg_sq": reader.whole(f"exp_avg_sq:{name}", device=str(parameter.device)),
        }
    return int(str(state["step"]))


def load_adapter(model: Model, out: Path) -> Model:
    """The model with what was trained in ``out`` put in (not merged yet).

    Raises Refusal(3) when a tensor is missing or does not fit, OSError when ``out`` holds no training.
    """
    state, reader = _read(out)
    given = state["recipe"]
    assert isinstance(given, dict)
    add_adapters(model, Recipe(**{**given, "targets": tuple(given["targets"])}))
    _fill(trained(model), reader)
    return model.eval()


def _fill(parameters: dict[str, nn.Parameter], reader: Reader) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            entry = reader.entries.get(name)
            if entry is None or entry.shape != tuple(parameter.shape):
                raise Refusal(3, Message("minicpmv.refused.adapter", {"name": name}))
            parameter.copy_(reader.whole(name))
