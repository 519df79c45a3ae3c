"""MiniCPM-Llama3-V 2.5, readable from end to end: pictures and a question in, text out.

Read in this order: ``config`` (all sizes), ``slicing`` and ``image`` (a picture becomes slices of patches),
``vision`` and ``resampler`` (slices become query vectors), ``prompt`` (a conversation becomes token ids),
``model`` (vectors and ids meet in Llama-3), ``generate`` (ids become text), ``checkpoint`` (weights from a
release, under its names or another's), ``chat`` (several turns).

Written from a description of the published model, in our own words and code. Where it deviates from what the
published code did, the docstring says so. The modules below import torch; this one does not.
"""
