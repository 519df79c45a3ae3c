"""Apograph: was this published model made from that one, and what is the evidence?"""

__version__ = "0.1.0"
