"""`lm-eval-tts`: the package's own command.

A subcommand is a function that returns the exit code: 0 done, 1 worse, 2 bad input or undecided."""

from lm_eval_tts.cli import commands
from lm_eval_tts.cli.app import app, main

__all__ = ["app", "commands", "main"]
