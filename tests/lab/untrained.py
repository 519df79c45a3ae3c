"""Models of the lab's families before any training."""

from __future__ import annotations

from apograph.lab.families import Config
from apograph.lab.train import Course, Weights, train


def initial(config: Config, seed: int) -> Weights:
    return train(config, seed, Course(steps=0)).weights
