"""A release of ours as a model to be asked by ``behaviour.ask``: pictures and questions, greedily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apograph.behaviour.ask import Reply, ask
from apograph.behaviour.items import dumps, read_items
from apograph.lab.vision.train import Sample


class Seeing:
    """A model whose answers to all items were computed in batches when it was made."""

    def __init__(self, name: str, folder: Path, samples: Mapping[str, Sample]) -> None:
        from apograph.lab.vision.copies import answers, open_model
        from apograph.release import open_release

        self.model = name
        self._revision = open_release(str(folder)).digest
        said = answers(*open_model(folder), list(samples.values()))
        self._said = dict(zip(samples, said, strict=True))

    @property
    def decoding(self) -> dict[str, Any]:
        """Greedy, in float32."""
        return {"do_sample": False, "max_tokens": 40, "dtype": "float32", "through": "apograph.minicpmv"}

    def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
        """The answer to the item that the one picture belongs to."""
        text = self._said[images[0].stem]
        return Reply(text, [{"status": 0, "response": text}], revision=self._revision)


def write_items(samples: Mapping[str, Sample], folder: Path, file: str) -> Path:
    """An item file with its pictures, as ``apograph ask`` reads it."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, sample in samples.items():
        sample.image.save(folder / "images" / f"{name}.png")
        rows.append(
            {
                "item": name,
                "prompt": sample.question,
                "images": [f"images/{name}.png"],
                "key": sample.answer,
            }
        )
    path = folder / file
    path.write_text("".join(dumps(row) + "\n" for row in rows), "utf-8")
    return path


def ask_all(name: str, folder: Path, samples: Mapping[str, Sample], items: Path, out: Path) -> Path:
    """Ask one release all items of a file; the answers lie in ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    ask(Seeing(name, folder, samples), read_items(items), items.parent, out, concurrency=1)
    return out
