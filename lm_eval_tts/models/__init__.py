"""The lm_eval model classes: thin, each an engine with lm_eval's arguments around it."""

import logging

# Our messages appear as lm_eval's own do: same level, same format, same LMEVAL_LOG_LEVEL.
logging.getLogger("lm_eval_tts").parent = logging.getLogger("lm_eval")
