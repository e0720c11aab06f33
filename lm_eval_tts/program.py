"""The names of `core.program` and `core.trace` under the path that they had at first."""

from lm_eval_tts.core.program import *  # noqa: F403
from lm_eval_tts.core.trace import *  # noqa: F403
