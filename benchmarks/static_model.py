"""How far the static reading of code can be trusted, measured on the installed transformers package.

    python benchmarks/static_model.py

1. Model classes of many families, read as if each were a release, against the modules that PyTorch builds for
   the same default configuration (on the meta device): names and shapes that differ.
2. Every folder of models read for reasons why it could not run: each is printed, to be looked at.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from apograph.release.static_model import read_model

FAMILIES = """
llama clip siglip idefics2 mistral qwen2 bert gpt2 t5 whisper blip_2 bart deberta_v2 beit vit phi3 gemma2 opt
bloom gpt_neox mamba dinov2 swin convnext sam
"""
ENDS = ("ForCausalLM", "ForConditionalGeneration", "Model")


def sources(folder: Path) -> dict[str, str]:
    """The Python files of a folder of models."""
    return {p.name: p.read_text("utf-8") for p in sorted(folder.glob("*.py"))}


def against_torch(root: Path) -> None:
    """Print, per class, how many names were read, lay in open parts, or differ."""
    import torch

    totals = {"classes": 0, "stored": 0, "named": 0, "covered": 0, "absent": 0, "extra": 0, "shapes": 0}
    for family in FAMILIES.split():
        module = import_module(f"transformers.models.{family}.modeling_{family}")
        names = [n for n in dir(module) if n.endswith(ENDS) and "PreTrained" not in n]
        for name in [n for n in names if getattr(module, n).__module__ == module.__name__][:3]:
            cls = getattr(module, name)
            config = cls.config_class()
            try:
                with torch.device("meta"):
                    real = {k: tuple(v.shape) for k, v in cls(config).state_dict().items()}
            except Exception as error:
                print(f"{family} {name}: PyTorch does not build it ({type(error).__name__})")
                continue
            data = json.loads(config.to_json_string(use_diff=False))
            place = type(config).__module__.rpartition(".")[2]
            data["auto_map"] = {
                "AutoConfig": f"{place}.{type(config).__name__}",
                "AutoModel": f"modeling_{family}.{name}",
            }
            text = sources(root / family)
            model = read_model(text, list(text), {"config.json": data})["model"]
            assert model is not None
            read = {n: (None if s is None else tuple(s), o) for n, s, o in model["tensors"]}
            opens = tuple(p for p, _ in model["opens"])
            counts = {
                "classes": 1,
                "stored": len(real),
                "named": sum(n in read for n in real),
                "covered": sum(n not in read and f"{n}.".startswith(opens) for n in real),
                "absent": sum(not optional and n not in real for n, (_, optional) in read.items()),
                "extra": sum(n not in read and not f"{n}.".startswith(opens) for n in real),
                "shapes": sum(read[n][0] not in (None, s) for n, s in real.items() if n in read),
            }
            print(f"{family} {name}: {counts}")
            totals = {key: totals[key] + counts[key] for key in totals}
    print(f"in all: {totals}")


def faults(root: Path) -> None:
    """Print every reason why a file could not run."""
    files = found = 0
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        text = sources(folder)
        read = read_model(text, list(text), {})
        files += len(text)
        for fault in read["faults"]:
            found += 1
            print(f"{folder.name}/{fault['path']}:{fault['line']}: {fault['kind']} {fault['name']}")
    print(f"{found} reasons in {files} files")


if __name__ == "__main__":
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import transformers

    models = Path(transformers.__file__).parent / "models"
    against_torch(models)
    if "--quick" not in sys.argv:
        faults(models)
