"""The progress line of a run: problems done, tokens a second, accuracy so far, time left."""

from functools import cache
from typing import Any

from tqdm.auto import tqdm

from lm_eval_tts.grading import grade
from lm_eval_tts.harness.names import own_tasks
from lm_eval_tts.harness.response import item_of

MAX_QUICK = 50_000  # characters; longer responses are left to the real grading
_known_tasks = cache(own_tasks)
# All of it in 80 columns, so there is no bar.
LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class Progress(tqdm):  # type: ignore[type-arg]
    """A progress bar over the problems of one rank; close it, or use it as a context.
    world_size: number of ranks that share the problems; only the first shows its own."""

    def __init__(self, total: int, *, disable: bool, world_size: int = 1) -> None:
        rank = f", share of rank 0 of {world_size}" if world_size > 1 else ""
        # So an accuracy begins high: what is short is easy.
        said = f"generating (short first{rank})"
        super().__init__(total=total, disable=disable, desc=said, bar_format=LINE)
        self._num_tokens = 0
        self._found = {True: 0, False: 0, None: 0}

    def count(self, problem: Any, response: str, num_tokens: int) -> None:
        """Count one problem that is done, an lm_eval instance; num_tokens: sampled for it."""
        if self.disable:
            return
        self._num_tokens += num_tokens
        self._found[quick_check(problem.task_name, problem.doc, response)] += 1
        speed = self._num_tokens / max(self.format_dict["elapsed"], 1e-9)
        text = ", ".join(filter(None, [f"{speed:.0f} tokens/s", self.accuracy()]))
        self.set_postfix_str(text, refresh=False)
        self.update()

    def accuracy(self) -> str:
        """Return the accuracy so far; as a range where some answers are not decided yet."""
        right, wrong, open_ = (self._found[key] for key in (True, False, None))
        if not right + wrong:
            return ""
        low, high = (100 * r / (right + wrong + open_) for r in (right, right + open_))
        return f"accuracy {low:.0f}%" if low == high else f"accuracy {low:.0f}-{high:.0f}%"


def quick_check(task: str | None, doc: Any, response: str) -> bool | None:
    """Grade a response for the progress line. None if it is long, or of a task that is not of this
    package: its documents may mean other things."""
    if task not in _known_tasks() or len(response) > MAX_QUICK:
        return None
    try:
        return grade(*item_of(response, doc)).correct
    except Exception:  # a progress line must never end a run
        return None
