"""What engines around another engine have in common."""

from lm_eval_tts.core.engine import Engine


class EngineWrapper:
    """Has the limits of the engine inside it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def max_length(self) -> int:
        """Context window in tokens."""
        return self._engine.max_length

    @property
    def max_num_seqs(self) -> int:
        """Sequences worth having under way at once."""
        return self._engine.max_num_seqs
