"""Continuous batching over a transformers model."""

from lm_eval_tts.engines.hf.engine import HFEngine, fit_engine

__all__ = ["HFEngine", "fit_engine"]
