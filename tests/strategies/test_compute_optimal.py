"""The strategy chosen for each problem, by a table and an estimate of its difficulty."""

import json
from pathlib import Path

import pytest
from helpers import Tree, byte_request, rated, run_one, text_of

from lm_eval_tts.core.program import Sampling
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.engines.scripted import ScriptedEngine
from lm_eval_tts.errors import RequestError, SettingsError
from lm_eval_tts.strategies.compute_optimal import ComputeOptimal
from lm_eval_tts.strategies.parts.table import DEFAULT_TABLE, load_table

AGREE = {"": ["7", "7", "7", "8", "8", "8"]}
DIFFER = {"": ["5", "6", "7", "8", "a\n", "b\n"], "a\n": ["1", "2"]}
SCORES = {**{"5": 0.1, "6": 0.2, "7": 0.3, "8": 0.4}, **{"a": 0.9, "b": 0.1, "1": 0.8, "2": 0.7}}


def optimal(**changes) -> ComputeOptimal:
    defaults = {"n": 6, "beam_width": 2, "step_delimiter": "\n", "policy_size": 1.5}
    return ComputeOptimal(**{**defaults, **changes})


def solve(strategy: ComputeOptimal, tree: dict[str, list[str]], **changes):
    asked = byte_request(
        **{"sampling": Sampling(temperature=1.0), "delimiters": Delimiters(), **changes}
    )
    engine = ScriptedEngine(Tree(tree))
    return run_one(strategy.run(asked), engine, reward_model=rated(SCORES))


def texts(result) -> list[str]:
    return [text_of(candidate.trace.response_ids) for candidate in result.value.candidates]


def write_table(folder: Path, *rules: str) -> str:
    path = folder / "table.yaml"
    path.write_text("rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules))
    return str(path)


@pytest.mark.parametrize(
    ("size", "difficulty", "want"),
    [
        (1.5, "easy", "best_of_n"),
        (1.5, "medium", "beam"),
        (6.9, "hard", "beam"),
        (7.6, "easy", "dvts"),
        (32.8, "medium", "dvts"),
        (32.8, "hard", "beam"),
        (72.7, "easy", "best_of_n"),
        (72.7, "hard", "best_of_n"),
    ],
)
def test_the_default_table_is_the_published_rule(size, difficulty, want):
    assert next(r for r in load_table(None) if r.fits(size, difficulty, 16)).strategy == want


def test_the_default_table_names_its_source():
    assert "arXiv:2502.06703" in DEFAULT_TABLE.read_text()


def test_where_samples_agree_more_samples_are_taken_and_the_first_count():
    result = solve(optimal(), AGREE)
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


def test_the_size_of_the_policy_is_what_the_model_tells_unless_given():
    strategy = optimal(policy_size=None)
    assert len(texts(solve(strategy, AGREE, policy_size=1.5))) == 6
    with pytest.raises(SettingsError, match="policy_size="):
        solve(strategy, AGREE)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["strategy: bean"], "did you mean 'beam'"),
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


def test_a_table_without_a_rule_for_a_problem_says_so(tmp_path):
    table = write_table(tmp_path, "difficulty: hard, strategy: beam")
    with pytest.raises(SettingsError, match=r"no rule for policy_size=1\.5, easy problems and n=6"):
        solve(optimal(table=table), AGREE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"difficulty_by": "oracle"}, "needs the samples file"),
        ({"oracle_file": "x.jsonl"}, "needs the samples file"),
        ({"difficulty_by": "oracle", "oracle_file": "/nowhere"}, "no samples file"),
        ({"difficulty_by": "luck"}, "allowed: agreement, both, oracle, reward"),
        ({"probes": 1}, "probes=1: allowed is a number >= 2"),
        ({"table": "/nowhere"}, "cannot be read"),
    ],
)
def test_wrong_settings_are_told(changes, message):
    with pytest.raises(SettingsError, match=message):
        optimal(**changes)
