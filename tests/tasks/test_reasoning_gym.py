"""The tasks of reasoning-gym: drawn by seed, rated by `score_answer`, under our strategies."""

import json

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.scripted import ScriptedLM
from lm_eval_tts.tasks import reasoning_gym as ours

pytest.importorskip("reasoning_gym")

BUDGETS = {"strategy": "budget", "max_thinking_tokens": [4, 60]}
SAMPLES = {"strategy": "self_consistency", "n": 4, "do_sample": True, "temperature": 1.0}
TEN = (
    "basic_arithmetic", "chain_sum", "coin_flip", "complex_arithmetic", "count_bits", "lcm",
    "number_sequence", "products", "simple_equations", "spell_backward",
)  # fmt: skip


def manager(**settings) -> TaskManager:
    """Knows our tasks, and what the command line would say in `--metadata`."""
    folder = f"{task_configs()}/reasoning_gym"
    return TaskManager(
        include_path=folder, include_defaults=False, metadata={"reasoning_gym": settings}
    )


def drawn(name: str, **settings) -> list[dict]:
    return list(ours.load_problems(name, reasoning_gym=settings)["test"])


def evaluate(lm: LM, *names: str, gen_kwargs: dict | None = None, **settings) -> dict:
    tasks = [f"reasoning_gym_{name}" for name in names]
    return simple_evaluate(
        lm, tasks=tasks, task_manager=manager(**settings), gen_kwargs=gen_kwargs, bootstrap_iters=0
    )


def knows(*names: str, **settings):
    """A model that has the right answer after a whole thought, and none after a cut one."""
    answers = {
        doc["question"]: doc["example_answer"] for n in names for doc in drawn(n, **settings)
    }

    def write(prompt: str, seed: int | None) -> str:
        question, answer = next(pair for pair in answers.items() if pair[0] in prompt)
        so_far = prompt.rpartition(question)[2]
        if "</think>" in so_far:
            return f"{answer if 'all</think>' in so_far else 'no'}</answer>"
        thought = f"I see it all</think>\n<answer>{answer}</answer>"
        return thought if "<think>" in so_far else f"<think>\n{thought}"

    return ScriptedLM(write)


def test_a_task_is_scored_by_its_own_function_at_each_budget():
    names, wanted = ("chain_sum", "word_sorting", "mini_sudoku"), {"size": 2}
    found = evaluate(knows(*names, **wanted), *names, gen_kwargs=BUDGETS, **wanted)["results"]
    for name in names:
        scores = found[f"reasoning_gym_{name}"]
        assert (scores["score@4,none"], scores["score@60,none"], scores["score,none"]) == (0, 1, 1)


def test_samples_have_the_expected_best_of_k_and_the_vote():
    lm = knows("chain_sum", size=2)
    found = evaluate(lm, "chain_sum", gen_kwargs=SAMPLES, size=2)["results"]
    scores = found["reasoning_gym_chain_sum"]
    assert (scores["pass@4,none"], scores["maj@4,none"], scores["score,none"]) == (1, 1, 1)


def test_another_seed_has_other_problems_and_the_same_seed_the_same():
    assert drawn("chain_sum", seed=1, size=5) == drawn("chain_sum", seed=1, size=5)
    questions = [{doc["question"] for doc in drawn("chain_sum", seed=s, size=5)} for s in (1, 2)]
    assert not questions[0] & questions[1]


def test_a_seed_draws_the_same_in_every_process():
    """The words of this task are put in order by their hashes, which each process salts anew."""
    (doc,) = drawn("word_ladder", size=1)
    assert "'WORK' to 'MYTH'" in doc["question"]


def test_difficulty_and_settings_reach_the_generator():
    easy, hard = (drawn("chain_sum", size=3, difficulty=level) for level in (0, 5))
    assert len(str(easy)) < len(str(hard))
    assert {doc["difficulty"] for doc in hard} == {5}
    terms = [doc["question"].count("+") for doc in drawn(
        "chain_sum", size=3, min_terms=5, max_terms=5, allow_negation=False
    )]  # fmt: skip
    assert max(terms) <= 4


def test_a_task_without_levels_keeps_its_own(caplog):
    assert drawn("acre", size=1, difficulty=3)[0]["difficulty"] is None
    assert "no levels of difficulty" in caplog.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sede": 1}, "did you mean 'seed'"),
        ({"min_terms": 0}, "min_terms must be positive"),
        ({"difficulty": -1}, "Must be between 0"),
        ("7", "allowed is an object"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(settings, said):
    with pytest.raises(SettingsError, match=said) as error:
        ours.load_problems("chain_sum", reasoning_gym=settings)
    assert "\n" not in str(error.value)


def test_without_the_package_it_says_how_to_have_it(monkeypatch):
    monkeypatch.setattr(ours, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install reasoning-gym"):
        ours.load_problems("chain_sum")


def test_an_answer_that_hangs_or_cannot_be_read_scores_nothing(monkeypatch):
    monkeypatch.setattr(ours, "RATE_SECONDS", 1.0)
    doc = {"source": json.dumps({"name": "puzzle24", "size": 1, "seed": 1}), "index": 0}
    assert ours.score_answer(doc, ["9**9**9**9**9"]) == {"score": 0}
    monkeypatch.setattr(ours, "RATE_SECONDS", 30.0)
    (doc,) = drawn("prime_factorization", size=1)
    assert ours.score_answer(doc, ["no numbers"]) == {"score": 0}
    assert ours.score_answer(doc, [doc["example_answer"]]) == {"score": 1}


def test_tasks_that_evaluate_answers_ask_for_leave():
    with pytest.raises(ValueError, match="confirm_run_unsafe_code"):
        evaluate(ScriptedLM(lambda prompt, seed: "4"), "puzzle24", size=1)


@pytest.mark.slow
def test_no_other_task_evaluates_answers():
    import builtins

    from make_tasks import FOLDER, read_list

    builtins.seen_by_eval = []
    call = "__import__('builtins').seen_by_eval.append({!r})"
    names = read_list(FOLDER / "_reasoning_gym")["reasoning_gym"]
    assert len(names) > 90
    for name in names:
        source = json.dumps({"name": name, "size": 1, "seed": 1})
        for form in ("{}", "[{}]", "[[{}]]", "({})"):
            try:
                ours.rate(source, 0, form.format(call.format(name)))
            except ValueError:  # not a number
                continue
    assert builtins.seen_by_eval == []


@pytest.mark.slow
def test_ten_tasks_run_on_the_reasoner_that_comes_along():
    from lm_eval_tts.models.hf import TTSHF

    wanted = {"strategy": "budget", "max_thinking_tokens": [4, 16], "max_answer_tokens": 8}
    found = evaluate(TTSHF(device="cpu"), *TEN, gen_kwargs=wanted, size=2)["results"]
    assert len(found) == 10
    for scores in found.values():
        assert 0 <= scores["score@4,none"] <= 1
        assert scores["score@16,none"] == scores["score,none"]
        assert scores["thinking_tokens@4,none"] <= 4 < scores["total_tokens,none"]
        assert scores["failed,none"] == 0


def test_any_other_model_answers_too():
    class Stock(LM):
        def generate_until(self, requests, disable_tqdm=False):
            assert "strategy" not in requests[0].args[1]
            return ["4" for _ in requests]

        loglikelihood = loglikelihood_rolling = None

    scores = evaluate(Stock(), "chain_sum", size=2)["results"]["reasoning_gym_chain_sum"]
    assert 0 <= scores["score,none"] <= 1
