"""Which part of one release answers which of the other: names, tensors, code, states of files."""
