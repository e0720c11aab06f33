"""Test-time scaling strategies for EleutherAI's lm-evaluation-harness.

Importing this package costs next to nothing: torch, transformers and lm_eval are imported only by
the subpackages that need them (`engines`, `models`, `tasks`).
"""

__version__ = "0.1.0"
