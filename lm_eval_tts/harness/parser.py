"""A command line whose complaints are one line, with what may be meant."""

import argparse
import difflib
import re
from typing import Any, NoReturn

EXAMPLES = """examples:
  lm-eval-tts run --model tts-hf --tasks arith_budget --output_path results --log_samples
  lm-eval-tts leaderboard results -o board.html
  lm-eval-tts compare results/a results/b
"""


class CommandParser(argparse.ArgumentParser):
    """As argparse's, without the usage above each complaint."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        given = re.findall(r"invalid choice: '(.+?)'|(?<!\S)(--[\w-]+)", message)
        words = [word for pair in given for word in pair if word]
        near = [n for w in words for n in difflib.get_close_matches(w, self._known(), n=1)]
        hint = f": did you mean {near[0]}?" if near and near[0] not in words else ""
        self.exit(2, f"{self.prog}: {message}{hint} ({self.prog} --help shows all)\n")

    def _known(self) -> list[str]:
        """Return the names of options and commands, with the options of these."""
        names = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command, parser in action.choices.items():
                    names += [command, *parser._option_string_actions]
        return names
