"""Which prompts are refused before anything runs: the rules, and the folding of disguised text."""
