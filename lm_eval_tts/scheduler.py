"""The names of `core.scheduler` under the path that they had at first."""

from lm_eval_tts.core.scheduler import *  # noqa: F403
