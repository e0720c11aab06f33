"""`python -m lm_eval_tts` is `lm-eval-tts`."""

import sys

from lm_eval_tts.cli import main

sys.exit(main())
