"""Models trained further from their parent's weights: whole, through a low-rank adapter, beside a tower."""

from __future__ import annotations

from collections.abc import Mapping

from apograph.lab.corpus import Data
from apograph.lab.derive import Manipulation, Work
from apograph.lab.train import Course, fit, loaded, train, weights_of


def trained(
    work: Work, steps: int, rate: float, data: Data = "main", order: int = 1, decay: float = 0.1
) -> None:
    """Fine-tuning (few steps, other data) or continued training."""
    made = train(work.model.config, 0, Course(steps, rate, data, order, decay), work.model.weights)
    work.facts["losses"], work.facts["held_out"] = list(made.losses), made.held_out
    work.model = work.model.using(made.weights)


def adapted(work: Work, steps: int = 40, rate: float = 3e-3, rank: int = 4, order: int = 1) -> None:
    """LoRA (Hu et al., arXiv 2106.09685) of q and v trained on the other data and merged. Llama-like only."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(work.random.integers(1 << 30)))
        base = loaded(work.model.config, work.model.weights)
        settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"])
        model = get_peft_model(base, settings)
    course = Course(steps, rate, "other", order)
    work.facts["losses"] = list(fit(model, work.model.config, course))
    work.facts["rank"] = rank
    work.model = work.model.using(weights_of(model.merge_and_unload()))


def tower_added(work: Work, steps: int = 0, rate: float = 1e-3) -> None:
    """The second parent's tensors beside the first's, as a vision tower; trained first for ``steps``, in an
    order of its own."""
    other = work.parents[1]
    weights = other.weights
    if steps:
        course = Course(steps, rate, "other", int(work.random.integers(1 << 30)))
        weights = train(other.config, 0, course, weights).weights
    towers = {f"vision_tower.{name}": array for name, array in weights.items()}
    work.model = work.model.using({**work.model.weights, **towers}, vision_config=dict(other.config))


MANIPULATIONS: Mapping[str, Manipulation] = {
    "trained": trained,
    "LoRA": adapted,
    "tower added": tower_added,
}
