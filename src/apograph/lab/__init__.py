"""Releases of known descent: made, derived and measured."""
