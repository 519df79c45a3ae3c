"""A local model through transformers: greedy, plain prompts, safetensors only, no code of the model's own.

The model's chat template is not used: templates are programs of whoever published them, and one plain prompt
for all models keeps answers comparable. Images need an endpoint (``apograph serve`` makes one).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apograph.behaviour.ask import Reply
from apograph.findings import Message, Refusal


class LocalModel:
    """A causal language model in a folder. Raises Refusal 4 when transformers or torch is missing, 3 when the
    folder holds no model that they know."""

    def __init__(self, path: Path, max_tokens: int = 256) -> None:
        try:
            import torch
            import transformers
        except ImportError:
            raise Refusal(4, Message("answers.error.transformers")) from None
        from apograph.release import open_release

        transformers.utils.logging.disable_progress_bar()  # ours is the one to be seen
        self._torch = torch
        self._lock = threading.Lock()
        self._revision = open_release(str(path)).digest
        self.model = path.name
        self._max_tokens = max_tokens
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(path, **safe)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                path, use_safetensors=True, **safe
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
            raise Refusal(3, Message("answers.error.local_model", {"reason": reason}), str(path)) from None
        self._model.eval()

    @property
    def decoding(self) -> dict[str, Any]:
        """Greedy decoding in the model's stored precision."""
        return {"do_sample": False, "max_tokens": self._max_tokens, "through": "transformers"}

    def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
        """One answer, with the margin of its first token (log-probability over the runner-up's, in nats)."""
        if images:
            raise Refusal(4, Message("answers.error.local_images"))
        torch = self._torch
        with self._lock, torch.inference_mode():
            ids = self._tokenizer(prompt + "\n", return_tensors="pt")["input_ids"].to(self._model.device)
            made = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._max_tokens,
                pad_token_id=self._tokenizer.eos_token_id,
                return_dict_in_generate=True,
                output_scores=True,
            )
            new = made.sequences[0, ids.shape[1] :]
            best = torch.log_softmax(made.scores[0][0].float(), dim=-1).topk(2).values.tolist()
        text = self._tokenizer.decode(new, skip_special_tokens=True)
        attempts = [{"status": 0, "response": text, "tokens": new.tolist()}]
        truncated = len(new) >= self._max_tokens
        return Reply(text, attempts, "", self._revision, truncated, best[0] - best[1])
