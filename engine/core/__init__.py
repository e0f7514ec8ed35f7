"""The rules: pure, synchronous, deterministic."""
