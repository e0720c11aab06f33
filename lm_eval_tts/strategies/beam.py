"""Beam search over steps, guided by a reward model.

Snell et al. 2024 (arXiv:2408.03314), with n and beam_width as in Hugging Face's
search-and-learn and in compute-optimal-tts (Liu et al. 2025, arXiv:2502.06703): of `n` paths the
best n // beam_width are kept, and each is expanded `beam_width` times.

Ours alone: a complete path that is among the best keeps its place, so the search gets narrower and
ends; all complete paths, kept or not, are candidates of the final choice; those under way at the
last iteration are written to their end.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm_eval_tts.core.program import Program
from lm_eval_tts.core.trace import Request
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts.checks import at_least
from lm_eval_tts.strategies.parts.tree import (
    Growth,
    Path,
    SearchStrategy,
    best_paths,
    distinct_paths,
)


@dataclass(frozen=True, kw_only=True)
class Beam(SearchStrategy):
    """Keep the best n // beam_width of `n` paths and expand each `beam_width` times."""

    beam_width: int = 4
    """>= 1; `n` is a multiple of it."""
    filter_duplicates: bool = True
    """Of paths that say the same only one is kept; the others' expansions go to those that are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "beam_width")
        if self.n % self.beam_width:
            raise SettingsError(
                f"n={self.n}, beam_width={self.beam_width}: n must be a multiple of beam_width"
            )

    def search(self, request: Request) -> Program[list[Path]]:
        """Return the complete paths of one tree."""
        return self.grow_tree(request, self.n)

    def grow_tree(self, request: Request, n: int) -> Program[list[Path]]:
        """Return the complete paths of one tree of `n` paths."""
        growth = Growth(request, self)
        places = n // self.beam_width
        parents = [growth.start()] * n
        finished: list[Path] = []
        for iteration in range(self.num_iterations):
            paths = yield from growth.grow_all(parents, iteration)
            finished += [path for path in paths if path.done]
            kept = best_paths(distinct_paths(paths) if self.filter_duplicates else paths, places)
            live = [path for path in kept if not path.done]
            places -= len(kept) - len(live)
            if not live:
                break
            parents = spread(live, places * self.beam_width)
        return finished


def spread(paths: list[Path], count: int) -> list[Path]:
    """Return `count` parents, each path as often as the others, the first ones once more."""
    return [paths[i * len(paths) // count] for i in range(count)]
