"""Tree searches on the scripted engine, against trees worked by hand."""

from math import isnan
from random import Random

import pytest
from helpers import THINK, Tree, byte_request, rated, run_one, text_of

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.scheduler import Job, run
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines.scripted import ScriptedEngine, babble, hash_text
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.strategies.beam import Beam
from lm_eval_tts.strategies.dvts import DVTS
from lm_eval_tts.strategies.particle import Particle, logit
from lm_eval_tts.strategies.rebase import Rebase, apportion, softmax

HOT = Sampling(temperature=1.0)
PLAIN = Delimiters()


def request(**changes):
    return byte_request(**{"sampling": HOT, "delimiters": PLAIN, **changes})


def search(strategy, tree: dict[str, list[str]], scores: dict[str, float], **changes):
    writer, model = Tree(tree), rated(scores)
    engine = ScriptedEngine(writer, max_num_seqs=3)
    result = run_one(strategy.run(request(**changes)), engine, reward_model=model)
    return result, writer, model


def texts(result) -> list[str]:
    return [text_of(candidate.trace.response_ids) for candidate in result.value.candidates]


def beam(**changes) -> Beam:
    return Beam(**{"n": 4, "beam_width": 2, "step_delimiter": "\n", **changes})


# Four first steps, of which b and d are kept; d's answer 7 takes one of the two places, so that
# two expansions are left; below b2 an answer competes with b4, which goes on and wins.
TREE = {
    "": ["a\n", "b\n", "c\n", "d\n"],
    "b\n": ["b1\n", "b2\n"],
    "d\n": ["is 7", "d2\n"],
    "b\nb2\n": ["is 8", "b4\n"],
    "b\nb2\nb4\n": ["is 9", "is 6"],
}
SCORES = {
    **{"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.7, "b1": 0.2, "b2": 0.8, "is 7": 0.85, "d2": 0.3},
    **{"is 8": 0.6, "b4": 0.7, "is 9": 0.95, "is 6": 0.05},
}


def test_a_beam_keeps_the_best_and_every_complete_path_competes():
    result, writer, model = search(beam(), TREE, SCORES)
    assert text_of(result.value.response_ids) == "b\nb2\nb4\nis 9"
    assert texts(result) == ["d\nis 7", "b\nb2\nis 8", "b\nb2\nb4\nis 9", "b\nb2\nb4\nis 6"]
    assert result.cost.num_engine_calls == 4 + 4 + 2 + 2
    assert result.cost.num_scores == sum(model.batches) == 12
    assert writer.asked.count("b\n") == writer.asked.count("d\n") == 2
    assert "a\n" not in writer.asked


def test_every_step_is_noted_with_its_parent_and_its_rating():
    result, *_ = search(beam(), TREE, SCORES)
    tree = result.value.tree
    names = ["a", "b", "c", "d", "b1", "is 7", "b2", "d2", "is 8", "b4", "is 9", "is 6"]
    assert [step.text.strip() for step in tree] == names
    assert [step.score for step in tree] == [SCORES[name] for name in names]
    assert [step.parent for step in tree] == [-1] * 4 + [1, 3, 1, 3, 6, 6, 9, 9]
    assert [candidate.last_step for candidate in result.value.candidates] == [5, 8, 10, 11]


def test_an_early_answer_wins_if_nothing_later_is_rated_higher():
    result, _, _ = search(beam(), TREE, {**SCORES, "is 9": 0.2})
    assert text_of(result.value.response_ids) == "d\nis 7"


def test_nothing_is_lost_at_the_last_iteration():
    tree = {"": ["a\n", "b\n"], "b\n": ["b1\nb2\n4", "b3\n5"]}
    scores = {"a": 0.1, "b": 0.5, "b1": 0.1, "b2": 0.1, "4": 0.6, "b3": 0.3, "5": 0.4}
    strategy = beam(n=2, num_iterations=2)
    result, _, _ = search(strategy, tree, scores)
    assert texts(result) == ["b\nb1\nb2\n4", "b\nb3\n5"]
    assert text_of(result.value.response_ids) == "b\nb1\nb2\n4"


def test_duplicates_are_kept_once_and_leave_their_expansions_to_others():
    tree = {"": ["a\n", "a\n", "b\n", "c\n"], "a\n": ["1", "2"], "b\n": ["3", "4"]}
    scores = {"a": 0.9, "b": 0.8, "c": 0.1, "1": 0.1, "2": 0.2, "3": 0.3, "4": 0.4}
    result, _, _ = search(beam(), tree, scores)
    assert sorted(texts(result)) == ["a\n1", "a\n2", "b\n3", "b\n4"]
    tree = {"": ["a\n", "a\n", "b\n", "c\n"], "a\n": ["1", "2", "3", "4"]}
    result, _, _ = search(beam(filter_duplicates=False), tree, scores)
    assert sorted(texts(result)) == ["a\n1", "a\n2", "a\n3", "a\n4"]


def test_lookahead_rates_a_path_with_steps_that_are_then_dropped():
    tree = {"": ["a\n", "b\n"], "a\n": ["a1\n"], "b\n": ["b1\n", "is 1", "is 2"]}
    scores = {"a": 0.9, "b": 0.1, "a1": 0.2, "b1": 0.8, "is 1": 0.5, "is 2": 0.6}
    result, writer, _ = search(beam(n=2, lookahead=1), tree, scores)
    assert texts(result) == ["b\nis 1", "b\nis 2"]
    assert writer.asked == ["", "", "a\n", "b\n", "b\n", "b\n"]


def test_subtrees_of_dvts_know_nothing_of_each_other():
    """The second tree goes on from c, though both steps of the first tree are better."""
    tree = {
        "": ["a\n", "b\n", "c\n", "d\n"],
        "a\n": ["is 1", "is 2"],
        "c\n": ["is 3", "is 4"],
    }
    scores = {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.2}
    scores |= {"is 1": 0.4, "is 2": 0.5, "is 3": 0.6, "is 4": 0.1}
    strategy = DVTS(n=4, beam_width=2, step_delimiter="\n")
    result, _, _ = search(strategy, tree, scores)
    assert texts(result) == ["a\nis 1", "a\nis 2", "c\nis 3", "c\nis 4"]
    assert text_of(result.value.response_ids) == "c\nis 3"
    assert result.cost.num_engine_calls == 8


def test_rebase_expands_in_proportion_to_the_reward():
    """exp(0.9 / 0.5) : exp(0.2 / 0.5) is about 4 : 1, and one of the four paths is complete."""
    tree = {
        "": ["a\n", "b\n", "is 1", "b\n"],
        "a\n": ["2", "3"],
        "b\n": ["4"],
    }
    scores = {"a": 0.9, "b": 0.2, "is 1": 0.5, "2": 0.2, "3": 0.6, "4": 0.7}
    shares = softmax([0.9 / 0.5, 0.2 / 0.5, 0.2 / 0.5])
    assert apportion(shares, 3) == [2, 1, 0]
    strategy = Rebase(n=4, step_delimiter="\n", balance_temperature=0.5)
    result, _, _ = search(strategy, tree, scores)
    assert texts(result) == ["is 1", "a\n2", "a\n3", "b\n4"]
    assert result.cost.num_engine_calls == 4 + 3


def test_particles_are_drawn_by_their_weights():
    tree = {"": ["a\n", "b\n", "is 1"], "a\n": ["2", "3", "4"]}
    scores = {"a": 0.999999, "b": 0.001, "is 1": 0.001, "2": 0.1, "3": 0.2, "4": 0.9}
    result, _, _ = search(Particle(n=3, step_delimiter="\n"), tree, scores)
    assert texts(result) == ["a\n2", "a\n3", "a\n4"]
    assert text_of(result.value.response_ids) == "a\n4"


def test_particles_draw_the_same_in_every_run_and_others_with_another_seed():
    def run_with(seed: int):
        engine = ScriptedEngine(babble, eos=False)
        strategy = Particle(n=4, num_iterations=4, step_delimiter=".", max_gen_toks=60)
        program = strategy.run(request(seed=seed))
        return run_one(program, engine, reward_model=hashed()).value

    assert run_with(1) == run_with(1)
    assert len({run_with(seed) for seed in range(6)}) > 1


def test_a_high_weight_temperature_draws_particles_whatever_their_scores():
    def drawn(temperature: float, model: ScriptedRewardModel) -> list[str]:
        strategy = Particle(
            n=4,
            num_iterations=4,
            step_delimiter=".",
            max_gen_toks=60,
            weight_temperature=temperature,
        )
        engine = ScriptedEngine(babble, eos=False)
        return texts(run_one(strategy.run(request(seed=1)), engine, reward_model=model))

    even = ScriptedRewardModel(lambda q, steps: 0.5)
    assert drawn(1e9, hashed()) == drawn(1e9, even)
    assert drawn(1, hashed()) != drawn(1, even)


def hashed() -> ScriptedRewardModel:
    """Scores that look like chance and depend on the text alone."""
    return ScriptedRewardModel(lambda q, steps: (hash_text(" ".join(steps)) % 997) / 997)


STRATEGIES = [
    beam(step_delimiter=".", num_iterations=6, max_gen_toks=80),
    DVTS(n=4, beam_width=2, step_delimiter=".", num_iterations=5, max_gen_toks=80),
    Rebase(n=4, step_delimiter=".", num_iterations=5, max_gen_toks=80),
    Particle(n=4, step_delimiter=".", num_iterations=5, max_gen_toks=80),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_a_problem_has_the_same_result_whatever_runs_beside_it(strategy):
    def jobs():
        return [Job(strategy.run(request(prompt=f"Q{i}", seed=i)), seed=i) for i in range(5)]

    def engine(num_seqs: int) -> ScriptedEngine:
        return ScriptedEngine(babble, eos=False, max_num_seqs=num_seqs)

    together = {r.job: r.value for r in run(jobs(), engine(7), hashed())}
    alone = [next(run([job], engine(2), hashed())).value for job in jobs()]
    assert [together[i] for i in range(5)] == alone
    assert len({trace.response_ids for trace in alone}) == 5


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_limits_hold_and_every_candidate_was_rated(strategy):
    result = run_one(
        strategy.run(request(max_tokens=50)),
        ScriptedEngine(babble, eos=False),
        reward_model=hashed(),
    )
    for candidate in result.value.candidates:
        assert candidate.trace.num_tokens() <= 50
        assert candidate.trace.out_of_context == (candidate.trace.num_tokens() == 50)
        assert not isnan(dict(candidate.scores)["reward"])


def test_a_search_through_thinking_answers_where_it_ends_or_its_budget_does():
    writes = {"<think>\n": ["s1\n", "s2\n"], "<think>\ns2\n": ["s3</think>", "s4444444\n"]}
    writes |= {"<think>\ns2\ns3</think>\n<answer>": ["4"]}
    writes |= {"<think>\ns2\ns44444</think>\n<answer>": ["5"]}
    scores = {"s1": 0.1, "s2": 0.5, "<think>": 0.0, "<answer>4</answer>": 0.6}
    scores |= {"<answer>5</answer>": 0.7, "s3</think>": 0.5, "s44444</think>": 0.5}
    strategy = beam(n=2, max_thinking_tokens=9)
    result, _, _ = search(strategy, writes, scores, delimiters=THINK)
    assert texts(result) == [
        "<think>\ns2\ns3</think>\n<answer>4</answer>",
        "<think>\ns2\ns44444</think>\n<answer>5</answer>",
    ]
    assert [c.trace.num_tokens("thinking") for c in result.value.candidates] == [5, 9]
    assert [c.trace.truncated("thinking") for c in result.value.candidates] == [False, True]


def test_a_long_step_is_rated_where_it_stands_and_goes_on():
    tree = {"": ["abcdef"], "abc": ["def\n"], "abcdef": ["\n"], "abcdef\n": ["4"]}
    scores = {"abc": 0.5, "abcdef": 0.5, "4": 0.5}
    strategy = beam(n=1, beam_width=1, max_step_tokens=3)
    result, writer, _ = search(strategy, tree, scores)
    assert writer.asked == ["", "abc", "abcdef", "abcdef\n"]
    assert texts(result) == ["abcdef\n4"]


def test_paths_that_cannot_be_rated_come_last():
    def rate(question, steps):
        if steps[-1] == "a":
            raise RequestError("cannot read this")
        return 0.0

    engine = ScriptedEngine(Tree({"": ["a\n", "b\n"], "b\n": ["1", "2"]}))
    model = ScriptedRewardModel(rate)
    result = run_one(beam(n=2).run(request()), engine, reward_model=model)
    assert texts(result) == ["b\n1", "b\n2"]


def test_a_prompt_that_leaves_no_room_is_a_failure():
    result = run_one(beam().run(request(max_tokens=0)), ScriptedEngine(), reward_model=rated({}))
    assert isinstance(result.value, RequestError)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Beam(n=6, beam_width=4), "n must be a multiple of beam_width"),
        (lambda: Beam(num_iterations=0), "num_iterations=0"),
        (lambda: Beam(lookahead=-1), "lookahead=-1"),
        (lambda: Rebase(balance_temperature=0), "balance_temperature=0: allowed is a number > 0"),
        (lambda: Particle(step_delimiter=""), "step_delimiter"),
    ],
)
def test_wrong_settings_are_told(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_shares_become_whole_numbers_with_the_right_sum():
    for seed in range(50):
        random = Random(seed)
        shares = softmax([random.gauss(0, 2) for _ in range(random.randint(1, 9))])
        counts = apportion(shares, 16)
        assert sum(counts) == 16
        assert all(abs(c - 16 * s) < 1 for c, s in zip(counts, shares, strict=True))


def test_log_odds_are_finite_at_the_ends():
    assert logit(0.5) == 0
    assert logit(1.0) == pytest.approx(-logit(0.0))
    assert logit(1.0) < 14
