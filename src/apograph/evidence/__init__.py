"""One file per kind of evidence. To add one: write the file, add its name below, write its test."""

from apograph.evidence.registry import Case, Part, all_examiners, examiner

MODULES: tuple[str, ...] = (
    "files",
    "pickles",
    "config",
    "names",
    "tokenizer",
    "tokenizer_traces",
    "code",
    "licences",
    "history",
    "mentions",
    "consistency",
    "adapters",
    "weights",
    "gauge",
    "descent",
    "seed_audit",
    "unit_order",
    "invariants",
    "claims",
    "answers",
    "logits",
    "witness",
)

__all__ = ["MODULES", "Case", "Part", "all_examiners", "examiner"]
