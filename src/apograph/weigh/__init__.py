"""From findings to one conclusion: the examiners run, tails computed, the rules applied."""
