"""A published model, opened safely and lazily. Nothing of it is ever executed."""

from apograph.release.open import open_release

__all__ = ["open_release"]
