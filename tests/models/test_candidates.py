"""Strategies with candidates on a tiny random checkpoint, through lm_eval's own evaluator."""

import json
from pathlib import Path

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from lm_eval_tts.engines.scripted import hash_text
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.models.replay import TTSReplay
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel

ROWS = [{"id": i, "problem": f"What is {i} plus {i}?", "answer": 2 * i} for i in range(5)]
HOT = {"do_sample": True, "temperature": 1.0, "prompt_style": "r1"}


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> TTSHF:
    model = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=6)
    model.session.reward_model = ScriptedRewardModel(
        lambda question, steps: (hash_text(question + steps[-1]) % 97) / 96
    )
    return model


def evaluate(model, folder: Path, tasks: list, gen_kwargs: str) -> dict:
    (folder / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    manager = TaskManager(
        include_path=[task_configs(), str(folder)],
        include_defaults=False,
        metadata={"data_dir": str(folder)},
    )
    return simple_evaluate(
        model=model,
        tasks=tasks,
        gen_kwargs=gen_kwargs or None,
        task_manager=manager,
        limit=3,
        bootstrap_iters=0,
    )


def answer(model: TTSHF, context: str, repeats: int = 1, **kwargs):
    instance = Instance("generate_until", {"id": "7"}, (context, kwargs), 0, ("task", 0, repeats))
    return model.generate_until([instance] * repeats, disable_tqdm=True)


def test_all_variants_run_and_report(model, tmp_path):
    tasks = ["aime24_maj", "aime24_bon", "aime24_beam", "aime24_dvts"]
    kwargs = "n=4,beam_width=2,num_iterations=3,max_gen_toks=40,temperature=1.0"
    results = evaluate(model, tmp_path, tasks, kwargs)
    tables = results["results"]
    assert {"pass@4,none", "maj@4,none"} <= tables["aime24_maj"].keys()
    assert {"bon@4,none", "weighted_bon@2,none"} <= tables["aime24_bon"].keys()
    assert {"coverage,none", "candidates,none"} <= tables["aime24_beam"].keys()
    for task in tasks:
        assert tables[task]["failed,none"] == 0
        scorer = [tables[task].get(f"scorer_{what},none", 0) for what in ("calls", "tokens")]
        assert all(scorer) == (task != "aime24_maj")
        for sample in results["samples"][task]:
            texts = [record["text"] for record in sample["answered"]["candidates"]]
            assert sample["resps"][0][0] in texts
            assert ("tree" in sample["answered"]) == (task in ("aime24_beam", "aime24_dvts"))
            assert sample["sampled_tokens"] >= sample["total_tokens"]
    replayed = replay(tmp_path, results["samples"]["aime24_bon"])["results"]["aime24_bon"]
    told = [name for name in tables["aime24_bon"] if "@" in name or name.startswith("coverage")]
    assert len(told) > 20
    assert {name: replayed[name] for name in told} == {n: tables["aime24_bon"][n] for n in told}


def replay(folder: Path, samples: list[dict]) -> dict:
    """Grade what a samples file has anew."""
    path = folder / "samples_aime24_bon_2026-01-01T00-00-00.jsonl"
    path.write_text("".join(json.dumps(sample, default=str) + "\n" for sample in samples))
    return evaluate(TTSReplay(path=str(path)), folder, ["aime24_bon"], "")


def test_repeats_of_one_sample_report_the_same_metrics(model, tmp_path):
    base = f"{task_configs()}/aime24/aime24_cot.yaml"
    (tmp_path / "four.yaml").write_text(f"include: {base}\ntask: aime24_four\nrepeats: 4\n")
    results = evaluate(
        model, tmp_path, ["aime24_four"], "do_sample=true,temperature=1.0,max_gen_toks=20"
    )
    (table,) = results["results"].values()
    assert {"pass@1,none", "pass@4,none", "maj@4,none", "coverage,none"} <= table.keys()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"strategy": "self_consistency", "n": 3, "max_gen_toks": 20},
        {"strategy": "best_of_n", "n": 3, "max_gen_toks": 20, "step_delimiter": " "},
        {"strategy": "beam", "n": 4, "beam_width": 2, "num_iterations": 3, "step_delimiter": " "},
        {"strategy": "particle", "n": 4, "num_iterations": 3, "step_delimiter": " "},
    ],
    ids=lambda kwargs: kwargs["strategy"],
)
def test_a_problem_is_answered_the_same_alone_and_beside_others(model, kwargs):
    asked = [
        Instance(
            "generate_until",
            {"id": str(i)},
            (f"Add {i}", {**HOT, "max_gen_toks": 30, **kwargs}),
            i,
            ("task", i, 1),
        )
        for i in range(4)
    ]
    together = model.generate_until(asked, disable_tqdm=True)
    alone = [model.generate_until([one], disable_tqdm=True)[0] for one in asked]
    assert together == alone
    assert [r.details.candidates for r in together] == [r.details.candidates for r in alone]
    assert [r.details.tree for r in together] == [r.details.tree for r in alone]
    assert len(set(together)) > 1


def test_candidates_share_the_keys_of_their_prompt(model):
    assert model.session.engine  # made, and its probe run, before counting
    fed = []
    hook = model.model.get_input_embeddings().register_forward_pre_hook(
        lambda module, args: fed.append(args[0].numel())
    )
    kwargs = {"strategy": "self_consistency", "n": 6, "max_gen_toks": 1, **HOT}
    del kwargs["prompt_style"]
    context = "Add one and two and three and four and five and six and seven. " * 3
    (response,) = answer(model, context, **kwargs)
    hook.remove()
    length = len(model.session.chat.encode(context))
    assert len(response.details.candidates) == 6
    assert length <= sum(fed) < length + 6 * 10  # once, and a few tokens of each candidate


def test_repeats_of_a_problem_draw_anew(model):
    kwargs = {**HOT, "strategy": "self_consistency", "n": 2, "max_gen_toks": 20}
    first, second = answer(model, "Add 1", repeats=2, **kwargs)
    assert first.details.candidates != second.details.candidates


def test_self_certainty_is_a_divergence_and_so_not_negative(model):
    kwargs = {"strategy": "best_of_n", "score_by": "self_certainty", "n": 3, "max_gen_toks": 20}
    (response,) = answer(model, "Add 1", **HOT, **kwargs)
    assert all(c.details.scores["self_certainty"] >= 0 for c in response.details.candidates)


def test_a_strategy_that_scores_needs_a_reward_model_before_anything_runs(tiny_checkpoint):
    model = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=2)
    with pytest.raises(SettingsError, match="set reward_model="):
        answer(model, "Add 1", **HOT, strategy="beam")


def test_a_failed_problem_keeps_the_names_of_all_metrics(model):
    kwargs = {"strategy": "best_of_n", "n": 3, "max_gen_toks": 20}
    (failed,) = answer(model, "Add 1 " * 400, **HOT, **kwargs)
    (fine,) = answer(model, "Add 1", **HOT, **kwargs)
    assert failed.details.failure
    assert len(failed.details.candidates) == len(fine.details.candidates) == 3
    names = [response.details.candidates[0].details.scores.keys() for response in (failed, fine)]
    assert names[0] == names[1]
