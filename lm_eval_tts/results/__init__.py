"""Reads result files only: recorded generations of lm-eval and of others; never a model."""
