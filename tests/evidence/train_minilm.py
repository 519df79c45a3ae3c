"""Masked-language training of MiniLM's architecture for a few steps, on the text of the standard library."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from tests.evidence.derivations import WORDS, Arrays, model_folder

BATCH, LENGTH, MASKED = 4, 32, 0.2
UNKNOWN, MASK = 100, 103  # of the BERT vocabulary


def train(
    arrays: Arrays, *, steps: int, rate: float, seed: int, fresh: bool = False
) -> Mapping[str, np.ndarray]:
    """The arrays after ``steps`` of AdamW (decay 0.01) on one thread; ``fresh`` draws new initial weights.
    What the loss does not reach (the pooler) stays as it was."""
    import torch
    from transformers import BertConfig, BertModel

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rows = len(arrays[WORDS])
    config = BertConfig.from_pretrained(model_folder())
    config.vocab_size = rows
    model = BertModel(config)
    state = {n: torch.from_numpy(np.array(a)) for n, a in arrays.items() if n in model.state_dict()}
    if not fresh:
        model.load_state_dict(state)
    words = model.embeddings.word_embeddings.weight
    tokens = torch.from_numpy(_tokens(rows))
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    for _ in range(steps):
        starts = torch.randint(0, len(tokens) - LENGTH, (BATCH,))
        batch = torch.stack([tokens[s : s + LENGTH] for s in starts.tolist()])
        hidden = torch.rand(batch.shape) < MASKED
        out = model(batch.masked_fill(hidden, MASK)).last_hidden_state
        loss = torch.nn.functional.cross_entropy(out[hidden] @ words.T, batch[hidden])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    trained = {n: p.detach().numpy() for n, p in model.state_dict().items()}
    return {name: trained.get(name, array) for name, array in arrays.items()}


def _tokens(rows: int) -> np.ndarray:
    """Word pieces of a part of the standard library; what the shortened vocabulary lacks is unknown."""
    from tokenizers import Tokenizer

    folder = model_folder()
    assert folder is not None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    source = pathlib.Path(pathlib.__file__).parent
    source = source if source.name != "pathlib" else source.parent
    text = "\n".join(
        (source / f"{name}.py").read_text("utf-8") for name in ("argparse", "datetime", "typing")
    )
    ids = np.array(tokenizer.encode(text[:200_000]).ids)
    return np.where(ids < rows, ids, UNKNOWN)
