"""Self-consistency and best-of-N on the scripted engine."""

from math import isnan

import pytest
from helpers import Tree, byte_request, run_one, text_of

from lm_eval_tts.core.program import Sampling, TokenLogprob
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines import scripted
from lm_eval_tts.engines.scripted import ScriptedEngine, babble
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.strategies.best_of_n import BestOfN
from lm_eval_tts.strategies.deepconf import DeepConf
from lm_eval_tts.strategies.self_consistency import SelfConsistency

HOT = Sampling(temperature=1.0)
PLAIN = Delimiters()


def request(**changes):
    return byte_request(**{"sampling": HOT, "delimiters": PLAIN, **changes})


def answers(result) -> list[str]:
    return [text_of(candidate.trace.response_ids) for candidate in result.value.candidates]


def test_the_majority_is_given_with_all_candidates_and_their_cost():
    engine = ScriptedEngine(Tree({"": ["4", "5", "4", "3"]}))
    result = run_one(SelfConsistency(n=4).run(request()), engine)
    assert text_of(result.value.response_ids) == "4"
    assert answers(result) == ["4", "5", "4", "3"]
    assert (result.cost.num_engine_calls, result.cost.num_sampled_tokens) == (4, 8)


def test_equal_answers_are_what_the_request_says():
    def classify(texts):
        return [None if "?" in text else int(float(text)) for text in texts]

    engine = ScriptedEngine(Tree({"": ["3", "3", "4.0", "4", "4.00", "?", "?", "?", "?"]}))
    result = run_one(SelfConsistency(n=9).run(request(classify=classify)), engine)
    assert text_of(result.value.response_ids).startswith("4")


def test_more_candidates_do_not_change_the_first_ones():
    def drawn(n: int) -> list:
        engine = ScriptedEngine(babble, eos=False)
        strategy = SelfConsistency(n=n, max_gen_toks=20)
        return run_one(strategy.run(request()), engine).value.candidates

    assert drawn(7)[:3] == drawn(3)
    assert len({candidate.trace.response_ids for candidate in drawn(7)}) == 7


def test_candidates_may_have_a_thinking_budget_each():
    marks = Delimiters("<think>", "</think>", "", "")
    engine = ScriptedEngine(lambda t, seed: "4" if t.endswith("</think>") else "x" * 50)
    strategy = SelfConsistency(n=2, max_thinking_tokens=10)
    result = run_one(strategy.run(request(delimiters=marks)), engine)
    assert answers(result) == ["<think>" + "x" * 10 + "</think>4"] * 2


@pytest.mark.parametrize(("weighted", "want"), [(False, "x\n\n3"), (True, "a\n\n4")])
def test_the_best_rated_response_or_the_best_rated_answer_is_given(weighted, want):
    texts = ["a\n\n4", "b\n\n4", "x\n\n3"]
    scores = {"a\n\n4": 0.5, "b\n\n4": 0.45, "x\n\n3": 0.8}
    model = ScriptedRewardModel(lambda q, s: scores["\n\n".join(s)] if len(s) > 1 else 0.1)
    strategy = BestOfN(n=3, weighted=weighted)
    asked = request(classify=lambda texts: [int(text[-1]) for text in texts])
    result = run_one(strategy.run(asked), ScriptedEngine(Tree({"": texts})), reward_model=model)
    assert text_of(result.value.response_ids) == want
    assert [c.step_scores for c in result.value.candidates] == [(0.1, 0.5), (0.1, 0.45), (0.1, 0.8)]


def test_empty_steps_are_never_scored():
    seen = []
    model = ScriptedRewardModel(lambda question, steps: seen.append(steps) or 0.5)
    engine = ScriptedEngine(Tree({"": ["a\n\n\n\n b\n\n"]}))
    run_one(BestOfN(n=1).run(request(question="Q")), engine, reward_model=model)
    assert seen == [("a",), ("a", "b")]


def test_a_response_that_cannot_be_rated_is_kept_and_comes_last():
    def rate(question, steps):
        if steps == ("long",):
            raise RequestError("too long")
        return 0.0

    engine = ScriptedEngine(Tree({"": ["long", "4", ""]}))
    result = run_one(BestOfN(n=3).run(request()), engine, reward_model=ScriptedRewardModel(rate))
    scores = [dict(candidate.scores)["reward"] for candidate in result.value.candidates]
    assert [isnan(score) for score in scores] == [True, False, True]
    assert text_of(result.value.response_ids) == "4"


@pytest.mark.parametrize("score_by", ["mean_logprob", "self_certainty"])
def test_without_a_reward_model_the_surest_response_is_given(score_by):
    engine = ScriptedEngine(Tree({"": ["aaa", "bbb", "ccc"]}))
    result = run_one(BestOfN(n=3, score_by=score_by).run(request()), engine)
    scores = [dict(candidate.scores)[score_by] for candidate in result.value.candidates]
    best = scores.index(max(scores))
    assert text_of(result.value.response_ids) == ["aaa", "bbb", "ccc"][best]
    assert len(set(scores)) == 3
    assert not result.value.candidates[0].trace.logprobs


def test_an_engine_that_does_not_tell_what_a_measure_takes_is_no_lottery(monkeypatch):
    monkeypatch.setattr(scripted, "_logprob", lambda row, token: TokenLogprob(-1.0))
    for strategy in (BestOfN(n=2, score_by="self_certainty"), DeepConf(n=2)):
        result = run_one(strategy.run(request()), ScriptedEngine(Tree({"": ["a", "b"]})))
        assert "does not report the log-probabilities" in str(result.value)
    strategy = BestOfN(n=2, score_by="mean_logprob")
    result = run_one(strategy.run(request()), ScriptedEngine(Tree({"": ["a", "b"]})))
    assert len(result.value.candidates) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SelfConsistency(n=0), "n=0: allowed is a number >= 1"),
        (lambda: BestOfN(aggregation="lats"), "did you mean 'last'"),
        (lambda: BestOfN(score_by="prm"), "allowed: mean_logprob, reward, self_certainty"),
        (lambda: SelfConsistency(n=2).check(PLAIN, Sampling()), "temperature > 0"),
        (lambda: SelfConsistency(max_thinking_tokens=9).check(PLAIN, HOT), "thinking_end"),
    ],
)
def test_wrong_settings_are_told_in_one_line(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_outcome_reward_models_give_one_score():
    model = ScriptedRewardModel(lambda q, steps: float(len(steps[-1])), outcome=True)
    engine = ScriptedEngine(Tree({"": ["a\n\nbb", "a\n\nb"]}))
    result = run_one(BestOfN(n=2).run(request()), engine, reward_model=model)
    assert [c.step_scores for c in result.value.candidates] == [(2.0,), (1.0,)]


def no_answer_in_words(texts):
    return [int(text) if text.isdigit() else None for text in texts]


@pytest.mark.parametrize(("drop", "want"), [(False, "none"), (True, "7")])
def test_a_response_without_an_answer_wins_only_where_it_is_not_dropped(drop, want):
    scores = {"none": 0.9, "7": 0.8}
    model = ScriptedRewardModel(lambda question, steps: scores[steps[-1]])
    strategy = BestOfN(n=2, drop_unanswered=drop)
    engine = ScriptedEngine(Tree({"": ["none", "7"]}))
    result = run_one(strategy.run(request(classify=no_answer_in_words)), engine, reward_model=model)
    assert text_of(result.value.response_ids) == want


def test_where_no_response_has_an_answer_the_best_rated_one_is_chosen_all_the_same():
    scores = {"none": 0.3, "nil": 0.6}
    model = ScriptedRewardModel(lambda question, steps: scores[steps[-1]])
    engine = ScriptedEngine(Tree({"": ["none", "nil"]}))
    strategy = BestOfN(n=2, drop_unanswered=True)
    result = run_one(strategy.run(request(classify=no_answer_in_words)), engine, reward_model=model)
    assert text_of(result.value.response_ids) == "nil"


@pytest.mark.parametrize(("power", "want"), [(0.0, "5"), (1.0, "5"), (3.0, "4")])
def test_a_borda_vote_counts_ranks_and_more_of_them_the_higher_its_power(power, want):
    """Ranks 4, 3, 2, 1: the best alone against the three others, 64 to 27 + 8 + 1 at power 3."""
    scores = {"4": 0.9, "5": 0.8, "05": 0.7, "005": 0.6}
    model = ScriptedRewardModel(lambda question, steps: scores[steps[-1]])
    engine = ScriptedEngine(Tree({"": ["005", "4", "05", "5"]}))
    result = run_one(
        BestOfN(n=4, borda_power=power).run(request(classify=no_answer_in_words)),
        engine,
        reward_model=model,
    )
    assert text_of(result.value.response_ids) == want
