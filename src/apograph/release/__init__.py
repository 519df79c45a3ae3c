"""A published model, opened safely and lazily. Nothing of it is ever executed."""

from apograph.release.open import check_ref, open_release

__all__ = ["check_ref", "open_release"]
