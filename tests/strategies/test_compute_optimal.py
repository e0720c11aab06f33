"""The strategy chosen for each problem, by a table and an estimate of its difficulty."""

import json
from pathlib import Path

import pytest
from helpers import Tree, byte_request, rated, run_one, text_of

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.trace import Delimiters, Request
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.strategies import Abilities
from lm_eval_tts.strategies.compute_optimal import DEFAULT_TABLE, ComputeOptimal

AGREE = {"": ["7", "7", "7", "8", "8", "8"]}
DIFFER = {"": ["5", "6", "7", "8", "a\n", "b\n"], "a\n": ["1", "2"]}
SCORES = {**{"5": 0.1, "6": 0.2, "7": 0.3, "8": 0.4}, **{"a": 0.9, "b": 0.1, "1": 0.8, "2": 0.7}}


def optimal(**changes) -> ComputeOptimal:
    defaults = {"n": 6, "beam_width": 2, "step_delimiter": "\n", "policy_size": 1.5}
    return ComputeOptimal(**{**defaults, **changes})


def hot_request(**changes) -> Request:
    return byte_request(
        **{"sampling": Sampling(temperature=1.0), "delimiters": Delimiters(), **changes}
    )


def solve(strategy: ComputeOptimal, tree: dict[str, list[str]], **changes):
    engine = ScriptedEngine(Tree(tree))
    return run_one(strategy.run(hot_request(**changes)), engine, reward_model=rated(SCORES))


def texts(result) -> list[str]:
    return [text_of(candidate.trace.response_ids) for candidate in result.value.candidates]


def write_table(folder: Path, *rules: str) -> str:
    path = folder / "table.yaml"
    path.write_text("rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules))
    return str(path)


@pytest.mark.parametrize(
    ("table", "size", "difficulty", "want"),
    [
        (None, 1.5, "easy", "beam"),
        (None, 6.9, "hard", "beam"),
        (None, 7.6, "easy", "dvts"),
        (None, 32.8, "medium", "dvts"),
        (None, 32.8, "hard", "beam"),
        (None, 72.7, "easy", "best_of_n"),
        ("aime24", 13.9, "easy", "dvts"),
        ("aime24", 14.0, "hard", "best_of_n"),
        ("r1-distill", 1.5, "hard", "best_of_n"),
    ],
)
def test_the_published_tables_are_as_their_authors_put_them_right(table, size, difficulty, want):
    rules = optimal(table=table, policy_size=None).rules
    assert next(r for r, _ in rules if r.fits(size, difficulty, 16)).strategy == want


def test_the_default_table_names_its_source():
    assert "arXiv:2502.06703" in DEFAULT_TABLE.read_text()


def test_where_samples_agree_more_samples_are_taken_and_the_first_count():
    result = solve(optimal(policy_size=72.7), AGREE)
    assert texts(result) == ["7", "7", "7", "8", "8", "8"]
    assert result.cost.num_engine_calls == result.cost.num_scores == 6
    assert text_of(result.value.response_ids) == "8"  # rated higher than 7


def test_where_samples_differ_a_search_follows_and_the_samples_compete(tmp_path):
    table = write_table(tmp_path, "strategy: beam, n: 2")
    result = solve(optimal(table=table), DIFFER)
    assert texts(result) == ["5", "6", "7", "8", "a\n1", "a\n2"]
    assert text_of(result.value.response_ids) == "a\n1"


def test_the_estimate_may_be_the_reward(tmp_path):
    """Rewards of 0.1 to 0.4 are a medium problem on average, agreement of none is a hard one."""
    table = write_table(
        tmp_path,
        "difficulty: medium, strategy: best_of_n, n: 4",
        "strategy: self_consistency, n: 4",
    )
    by_reward = solve(optimal(table=table, difficulty_by="reward"), DIFFER)
    assert text_of(by_reward.value.response_ids) == "8"
    seen = {
        text_of(solve(optimal(table=table), DIFFER, seed=seed).value.response_ids)
        for seed in range(9)
    }
    assert len(seen) > 1  # a vote of four different answers is drawn


def test_budgets_have_rules_of_their_own(tmp_path):
    table = write_table(
        tmp_path, "min_n: 6, strategy: self_consistency, n: 5", "strategy: best_of_n, n: 4"
    )
    assert len(texts(solve(optimal(table=table), AGREE))) == 5
    assert len(texts(solve(optimal(table=table, n=4), AGREE))) == 4


def test_the_oracle_knows_pass_at_1_from_an_earlier_run(tmp_path):
    rows = [
        {"doc": {"id": "p1", "question": "?"}, "exact_match": 1.0, "pass@1": 0.05},
        {"doc": {"question": "2+2?"}, "exact_match": 1.0},
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    strategy = optimal(n=2, difficulty_by="oracle", oracle_file=str(path))
    tree = {"": ["a\n", "b\n"], "a\n": ["1", "2"]}
    assert texts(solve(strategy, tree, problem="p1")) == ["a\n1", "a\n2"]  # hard: beam search
    assert texts(solve(strategy, {"": ["7", "8"]}, problem="2+2?")) == ["7", "8"]
    assert isinstance(solve(strategy, tree, problem="other").value, RequestError)


def test_the_size_of_the_policy_is_what_the_model_reports_unless_given():
    strategy = optimal(policy_size=None)
    assert len(texts(solve(strategy, AGREE, policy_size=72.7))) == 6
    with pytest.raises(SettingsError, match="policy_size="):
        solve(strategy, AGREE)
    with pytest.raises(SettingsError, match="policy_size="):
        strategy.check_model(Abilities(reward_model=True))


def test_probes_are_rated_by_the_rule_that_follows_and_asked_about_once(tmp_path):
    """Each has two steps, which another aggregation rates otherwise; three of four agree."""
    tree = {"": ["a\n7", "b\n7", "a\n7", "b\n8"]}
    table = write_table(tmp_path, "strategy: best_of_n, n: 4, aggregation: min")
    result = solve(optimal(table=table, n=4, difficulty_by="both"), tree)
    rewards = [dict(candidate.scores)["reward"] for candidate in result.value.candidates]
    assert rewards == [min(SCORES[a], SCORES[b]) for a, b in ("a7", "b7", "a7", "b8")]
    assert text_of(result.value.response_ids) == "a\n7"
    assert result.cost.num_scores == 4


def test_probes_have_the_score_of_the_rule_that_follows_and_no_reward_is_needed(tmp_path):
    table = write_table(tmp_path, "strategy: best_of_n, score_by: mean_logprob")
    strategy = optimal(table=table)
    assert not strategy.needs_reward_model
    result = run_one(strategy.run(hot_request()), ScriptedEngine(Tree(AGREE)))
    assert [c.scores[0][0] for c in result.value.candidates] == ["mean_logprob"] * 6
    assert not any(c.trace.logprobs for c in result.value.candidates)


def test_a_rule_with_steps_of_its_own_has_the_probes_rated_by_them(tmp_path):
    table = write_table(tmp_path, 'strategy: best_of_n, n: 4, step_delimiter: "@"')
    strategy = optimal(table=table, n=4, difficulty_by="reward", aggregation="min")
    result = run_one(
        strategy.run(hot_request()),
        ScriptedEngine(Tree({"": ["a@7", "a@7", "b@7", "b@7"]})),
        reward_model=rated({**SCORES, "a@7": 0.9, "b@7": 0.9}),
    )
    assert [c.step_scores for c in result.value.candidates] == [(0.9, 0.3)] * 2 + [(0.1, 0.3)] * 2


def test_a_changed_table_is_seen(tmp_path):
    first = optimal(table=write_table(tmp_path, "strategy: self_consistency"))
    second = optimal(table=write_table(tmp_path, "strategy: best_of_n, score_by: mean_logprob"))
    assert (first.score_names, second.score_names) == ((), ("mean_logprob",))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["strategy: bean"], "did you mean 'beam'"),
        (["strategy: compute_optimal"], "unknown strategy in the table 'compute_optimal'"),
        (["strategy: deepconf"], "unknown strategy in the table 'deepconf'"),
        (["strategy: beam, n: 3"], "n must be a multiple"),
        (["strategy: best_of_n, widht: 3"], "allowed: aggregation"),
        (["strategy: beam, difficulty: simple"], "allowed: easy, hard, medium"),
        (["n: 4"], "must name a strategy"),
        (["strategy: beam, min_n: many"], "allowed is a number"),
    ],
)
def test_a_wrong_table_is_told_before_anything_runs(tmp_path, rules, message):
    with pytest.raises(SettingsError, match=message):
        optimal(table=write_table(tmp_path, *rules))


@pytest.mark.parametrize(
    "rule", ["difficulty: [medium, hard]", "min_n: 7", "policy_below: 1.5"], ids=lambda rule: rule
)
def test_a_table_without_a_rule_for_some_problem_is_refused_before_the_first_token(tmp_path, rule):
    table = write_table(tmp_path, f"{rule}, strategy: beam")
    says = r"no rule for policy_size=1\.5, easy problems and n=6"
    with pytest.raises(SettingsError, match=says):
        optimal(table=table)
    strategy = optimal(table=table, policy_size=None)
    with pytest.raises(SettingsError, match=says):
        strategy.check_model(Abilities(reward_model=True, policy_size=1.5))


def test_what_a_rule_needs_of_the_delimiters_is_checked_before_the_first_token(tmp_path):
    table = write_table(tmp_path, "strategy: best_of_n, max_thinking_tokens: 9")
    with pytest.raises(SettingsError, match="needs a thinking_end"):
        optimal(table=table).check(Delimiters(), Sampling(temperature=1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"difficulty_by": "oracle"}, "needs the samples file"),
        ({"oracle_file": "x.jsonl"}, "needs the samples file"),
        ({"difficulty_by": "oracle", "oracle_file": "/nowhere"}, "not a samples file"),
        ({"difficulty_by": "luck"}, "allowed: agreement, both, oracle, reward"),
        ({"probes": 1}, "probes=1: allowed is a number >= 2"),
        ({"table": "/nowhere"}, "cannot be read"),
    ],
)
def test_wrong_settings_are_told(changes, message):
    with pytest.raises(SettingsError, match=message):
        optimal(**changes)
