"""A resumed search asks its reward model for nothing that it has said before."""

import pytest
from helpers import byte_request

from lm_eval_tts.core.journal import Journal
from lm_eval_tts.core.program import Sampling, Score, StepScores
from lm_eval_tts.core.reward_model import Spent
from lm_eval_tts.core.scheduler import Job, derive_seed, run
from lm_eval_tts.engines.reliable import ReliableEngine
from lm_eval_tts.engines.scripted import ScriptedEngine, babble, failing, hash_text
from lm_eval_tts.errors import RequestError
from lm_eval_tts.reward_models.reliable import ReliableRewardModel, score_key
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.particle import Particle

HOT = Sampling(temperature=1.0)
SEARCH = {"step_delimiter": "e", "max_gen_toks": 40}
STRATEGIES = {
    "best_of_n": BestOfN(n=3, **SEARCH),
    "beam": Beam(n=4, beam_width=2, num_iterations=3, **SEARCH),
    "particle": Particle(n=3, num_iterations=3, **SEARCH),
}


class Stopped(BaseException):
    """The process ends here."""


class Noting(ScriptedRewardModel):
    """Notes what it answered, and ends the process once it is asked the `calls`-th time."""

    def __init__(self, calls: float = float("inf")) -> None:
        super().__init__(lambda question, steps: (hash_text(question + steps[-1]) % 97) / 96)
        self.answered: list[Score] = []
        self.calls = calls

    def score(self, items):
        if len(self.batches) == self.calls:
            raise Stopped
        self.answered += items
        return super().score(items)


def jobs(strategy):
    for number in range(3):
        request = byte_request(f"{number}?", sampling=HOT, question=f"What is {number}?")
        yield Job(strategy.run(request), derive_seed(1, number))


def results_of(strategy, journal, engine, rater) -> list:
    if journal is not None:
        engine, rater = ReliableEngine(engine, journal), ReliableRewardModel(rater, journal)
    return sorted(run(jobs(strategy), engine, rater), key=lambda result: result.job)


@pytest.mark.parametrize("name", STRATEGIES)
def test_stopped_at_any_score_a_search_goes_on_and_asks_for_the_others_only(tmp_path, name):
    strategy, whole = STRATEGIES[name], Noting()
    want = results_of(strategy, None, ScriptedEngine(babble, eos=False), whole)
    asked = Noting()  # what is equal is asked for once under a journal
    with Journal(tmp_path / "whole", {}) as journal:
        results_of(strategy, journal, ScriptedEngine(babble, eos=False), asked)
    for calls in range(1, len(asked.batches), 6):
        first, second = Noting(calls), Noting()
        with pytest.raises(Stopped), Journal(tmp_path / str(calls), {}) as journal:
            results_of(strategy, journal, ScriptedEngine(babble, eos=False), first)
        with Journal(tmp_path / str(calls), {}) as journal:
            have = results_of(strategy, journal, ScriptedEngine(babble, eos=False), second)
        assert have == want
        assert not set(first.answered) & set(second.answered)
        assert {*first.answered, *second.answered} == set(whole.answered)
        assert second.spent.num_tokens == sum(
            len(item.question) + sum(map(len, item.steps)) for item in set(whole.answered)
        )


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_finished_search_is_told_again_without_engine_and_reward_model(tmp_path, name):
    with Journal(tmp_path, {}) as journal:
        engine = ScriptedEngine(babble, eos=False)
        want = results_of(STRATEGIES[name], journal, engine, Noting())
    idle, silent = ScriptedEngine(failing("asked again")), Noting(calls=0)
    with Journal(tmp_path, {}) as journal:
        assert results_of(STRATEGIES[name], journal, idle, silent) == want
    assert idle.num_steps == 0


def test_equal_items_are_asked_for_once_and_failures_again(tmp_path):
    def rate(question, steps):
        if "?" in steps[-1]:
            raise RequestError("a step asks")
        return 1 / 3

    good, bad = Score("q", ("a", "b")), Score("q", ("?",))
    with Journal(tmp_path, {}) as journal:
        rater = ScriptedRewardModel(rate)
        have = ReliableRewardModel(rater, journal).score([good, bad, good])
        assert have[0] == have[2] == StepScores((1 / 3, 1 / 3), 3)
        assert isinstance(have[1], RequestError)
        assert rater.batches == [2]
        assert len(journal) == 1
        ReliableRewardModel(rater, journal).score([good, bad])
        assert rater.batches == [2, 1]


def test_the_time_of_earlier_processes_counts_once_for_each_score_that_is_handed_out(tmp_path):
    class Slow(ScriptedRewardModel):
        def score(self, items):
            self.spent = self.spent.plus(Spent(seconds=2.0 * len(items)))
            return super().score(items)

    items = [Score("q", (step,)) for step in "abc"]
    with Journal(tmp_path, {}) as journal:
        ReliableRewardModel(Slow(lambda q, steps: 0.5), journal).score(items)
    rater = Slow(lambda q, steps: 0.5)
    with Journal(tmp_path, {}) as journal:
        model = ReliableRewardModel(rater, journal)
        model.score(items[:2])
        model.score([*items[:2], Score("q", ("d",))])
    assert rater.spent == Spent(2.0 * 3, 2 * 3)


def test_question_and_each_step_make_the_key():
    items = [Score("q", ("a", "b")), Score("q", ("ab",)), Score("qa", ("b",)), Score("q", ("a",))]
    assert len({score_key(item) for item in items}) == 4
    assert score_key(Score("q", ("a", "b"))) == score_key(items[0])
