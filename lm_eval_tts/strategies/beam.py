"""Beam search over steps, guided by a reward model.

Snell et al. 2024 (arXiv:2408.03314), with n and beam_width as in Hugging Face's search-and-learn
and in compute-optimal-tts (Liu et al. 2025, arXiv:2502.06703): of `n` paths the best n //
beam_width are kept, and each is expanded `beam_width` times. What becomes of complete paths is a
setting: compute-optimal-tts keeps them as we do and chooses among those that were kept,
search-and-learn makes them leave and chooses among the first n. Paths under way at the last
iteration are written to their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from lm_eval_tts.core.program import Program
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.strategies.parts.tree import BeamSettings, Growth, Path, SearchStrategy


@dataclass(frozen=True, kw_only=True)
class Beam(BeamSettings, SearchStrategy):
    """Keep the best n // beam_width of `n` paths and expand each `beam_width` times."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n % self.beam_width:
            raise SettingsError(
                f"n={self.n}, beam_width={self.beam_width}: n must be a multiple of beam_width"
            )

    def search(self, growth: Growth) -> Program[list[Path]]:
        """Return the candidates of one tree."""
        return self.grow_tree(growth, self.n)

    def grow_tree(self, growth: Growth, n: int) -> Program[list[Path]]:
        """Return the candidates of one tree of `n` paths."""
        places = n // self.beam_width
        parents = [growth.start()] * n
        found: list[Path] = []
        for iteration in range(self.num_iterations):
            paths = yield from growth.grow_all(parents, iteration)
            complete = [path for path in paths if path.done]
            if self.complete_paths == "leave":
                paths = [path for path in paths if not path.done]
            kept = best_paths(distinct_paths(paths) if self.filter_duplicates else paths, places)
            live = [path for path in kept if not path.done]
            found += [path for path in kept if path.done] if self.candidates == "kept" else complete
            places -= len(kept) - len(live)
            if not live or (self.candidates == "first" and len(found) >= n):
                break
            parents = list(islice(cycle(live), places * self.beam_width))  # the first, once more
        return found[:n] if self.candidates == "first" else found


def best_paths(paths: Sequence[Path], count: int) -> list[Path]:
    """Return the best-rated paths as they come: of equal scores by the last step's, then the first.
    A path's minimum or mean score ties with its siblings' more often than the last one."""
    ranked = sorted(paths, key=lambda path: (-path.rank, -(path.step_scores or (0.0,))[-1]))
    best = set(map(id, ranked[:count]))
    return [path for path in paths if id(path) in best]


def distinct_paths(paths: Sequence[Path]) -> list[Path]:
    """Return the paths without those that say the same as an earlier one."""
    return list({path.trace.response_ids: path for path in reversed(paths)}.values())[::-1]
