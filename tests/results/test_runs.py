"""Results files of every kind become runs; a broken one is named and skipped."""

import json
from pathlib import Path

import pytest
from results_helpers import sample, scored, write_run

from lm_eval_tts.errors import DataError
from lm_eval_tts.grading import GRADER_VERSION
from lm_eval_tts.results.files import read_samples
from lm_eval_tts.results.formats import short_names
from lm_eval_tts.results.runs import load_runs, one_of_each_task
from lm_eval_tts.results.samples import fingerprint, read_outcomes


def only(path: Path, metric: str | None = None):
    (run,) = load_runs([path], metric).runs
    return run


def test_a_run_of_ours_says_checkpoint_adapter_style_strategy_and_settings(tmp_path):
    arguments = {"pretrained": "org/base", "peft": "my-grpo", "dtype": "bfloat16", "device": "cpu"}
    kwargs = {
        "strategy": "budget", "prompt_style": "r1", "max_thinking_tokens": [16, 64],
        "do_sample": False, "until": [], "temperature": 0.0,
    }  # fmt: skip
    rows = scored([1, 0])
    run = only(write_run(tmp_path, rows, "toy_budget", model_args=arguments, kwargs=kwargs))
    assert (run.task, run.benchmark, run.accuracy, run.num_docs) == ("toy_budget", "toy", 0.5, 2)
    setup = run.setup
    assert (setup.checkpoint, setup.adapter, setup.prompt_style) == ("org/base", "my-grpo", "r1")
    assert setup.strategy == "budget"
    assert setup.settings == (("dtype", "bfloat16"), ("max_thinking_tokens", "[16,64]"))
    assert (run.measure["grader version"], run.measure["task version"]) == ("1", "1")
    assert run.metrics["seconds"] == 12.5


def test_settings_are_said_in_one_line(tmp_path):
    kwargs = {"strategy": "beam", "prompt_style": "r1", "step_delimiter": "\n"}
    setup = only(write_run(tmp_path, scored([1]), kwargs=kwargs)).setup
    assert setup.settings_text == r"step_delimiter=\n"


def test_a_recording_is_known_by_its_file_and_claims_no_settings(tmp_path):
    rows = scored([1])
    path = write_run(tmp_path, rows, model="tts-replay", model_args={"path": "/logs/phi.jsonl"})
    setup = only(path).setup
    assert (setup.checkpoint, setup.strategy, setup.settings) == ("/logs/phi.jsonl", "recorded", ())


def test_text_arguments_of_older_versions_keep_commas_within_a_value(tmp_path):
    arguments = "pretrained=org/base,dtype=float32,max_thinking_tokens=[16,64],peft=a/b"
    setup = only(write_run(tmp_path, scored([1]), model_args=arguments)).setup
    assert (setup.checkpoint, setup.adapter) == ("org/base", "a/b")
    assert ("max_thinking_tokens", "[16,64]") in setup.settings


def stock(folder: Path) -> Path:
    """A stock task with two filters, as `--model hf` leaves it: no tokens, no strategy."""
    rows = [
        {**sample(i, exact_match=float(i < n)), "filter": name, "metrics": ["exact_match"]}
        for name, n in (("strict-match", 1), ("flexible-extract", 3))
        for i in range(4)
    ]
    values = {"exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": "N/A"}
    values |= {"exact_match,flexible-extract": 0.75, "alias": "gsm8k"}
    config = {"gsm8k": {"generation_kwargs": {"until": ["Q:"], "do_sample": False}}}
    return write_run(
        folder, rows, "gsm8k", model="hf", results={"gsm8k": values}, configs=config,
        versions={"gsm8k": 3.0},
    )  # fmt: skip


def test_a_stock_run_is_read_with_what_it_lacks_as_missing(tmp_path):
    run = only(stock(tmp_path))
    assert (run.benchmark, run.metric, run.filter, run.accuracy) == (
        "gsm8k", "exact_match", "strict-match", 0.25,
    )  # fmt: skip
    assert (run.setup.strategy, run.setup.prompt_style) == (None, None)
    assert run.measure["grader version"] is None
    outcomes, problems = read_outcomes(run)
    assert not problems
    assert outcomes.metrics["exact_match"].tolist() == [1, 0, 0, 0]
    assert "total_tokens" not in outcomes.metrics


def test_what_the_command_line_adds_to_a_stock_prompt_makes_another_setup(tmp_path):
    plain = only(stock(tmp_path / "a")).setup
    path = stock(tmp_path / "b")
    content = json.loads(path.read_text())
    content |= {"n-shot": {"gsm8k": 5}, "chat_template_sha": "ab", "system_instruction_sha": "cd"}
    path.write_text(json.dumps(content))
    said = dict(only(path).setup.settings)
    assert said == {
        **dict(plain.settings),
        "num_fewshot": "5", "chat_template": "applied", "system_instruction_sha": "cd",
    }  # fmt: skip


def test_another_metric_and_filter_can_be_named(tmp_path):
    path = stock(tmp_path)
    assert only(path, "exact_match,flexible-extract").accuracy == 0.75
    with pytest.raises(DataError, match="no task in it has metric 'acc'"):
        load_runs([path], "acc")


def test_files_from_before_0_4_3_are_read(tmp_path):
    """results.json, model_args as text, no n-samples, samples named otherwise, no hashes."""
    content = {
        "results": {"arc": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "arc"}},
        "versions": {"arc": 1.0},
        "config": {"model": "hf", "model_args": "pretrained=gpt2"},
    }
    (tmp_path / "results.json").write_text(json.dumps(content))
    rows = [
        {"doc_id": i, "doc": {"question": "?"}, "target": "x", "arguments": [["?", " x"]],
         "resps": [[[-1.0, False]]], "filtered_resps": [[-1.0, False]], "acc": float(i)}
        for i in range(2)
    ]  # fmt: skip
    (tmp_path / "pretrained__gpt2_arc.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in rows)
    )
    run = only(tmp_path)
    assert (run.accuracy, run.num_docs, run.setup.checkpoint) == (0.5, None, "gpt2")
    outcomes, problems = read_outcomes(run)
    assert not problems
    assert outcomes.metrics["acc"].tolist() == [0, 1]


def test_an_output_path_that_was_a_file_name_is_found_in_its_folder(tmp_path):
    path = write_run(tmp_path, scored([1, 0]))
    path.rename(path.with_name(path.name.replace("results_", "mine_")))
    run = only(tmp_path)
    assert run.samples_path is not None


def test_groups_are_not_taken_for_tasks(tmp_path):
    path = write_run(tmp_path, scored([1]))
    content = json.loads(path.read_text())
    content["results"]["tts_toy"] = {"exact_match,none": 1.0}
    content["group_subtasks"] = {"tts_toy": ["toy_cot"]}
    path.write_text(json.dumps(content))
    assert [run.task for run in load_runs([tmp_path]).runs] == ["toy_cot"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not JSON"),
        ('{"results": {"a": ', "not JSON"),
        ("[]", "it has no `results`"),
        ('{"results": {}}', "no task in it has metrics"),
        ('{"results": {"a": 3}}', "no task in it has metrics"),
        ("[" * 100_000, "not JSON"),
        ('{"results": {"a": {"acc,none": "N/A"}}}', "no task in it has metrics"),
    ],
)
def test_a_broken_results_file_is_named_and_the_others_are_read(tmp_path, content, reason):
    write_run(tmp_path / "good", scored([1]))
    bad = tmp_path / "bad" / "results_2026-01-01T00-00-00.0.json"
    bad.parent.mkdir()
    bad.write_text(content)
    loaded = load_runs([tmp_path])
    assert len(loaded.runs) == 1
    (unread,) = loaded.unread
    assert unread.path == bad
    assert reason in unread.reason


def test_bytes_that_are_no_text_and_missing_paths_are_named(tmp_path):
    bad = tmp_path / "results_2026-01-01T00-00-00.0.json"
    bad.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not JSON in UTF-8"):
        load_runs([bad])
    with pytest.raises(DataError, match="there is no such file or folder"):
        load_runs([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no results_\*.json in this folder"):
        load_runs([tmp_path / "empty"])


def test_a_torn_line_of_samples_is_named_and_the_others_are_read(tmp_path):
    path = write_run(tmp_path, scored([1, 0, 1]))
    (samples,) = tmp_path.glob("samples_*.jsonl")
    lines = samples.read_text().splitlines()
    samples.write_text("\n".join([lines[0], lines[1][:40], "[1]", lines[2]]))
    outcomes, problems = read_outcomes(only(path))
    assert outcomes.labels == ("q0", "q2")
    assert [p.reason.split(":")[0] for p in problems] == [
        "line 2 is left out", "line 3 is left out",
    ]  # fmt: skip
    assert len(list(read_samples(samples))) == 4


def test_repeats_are_counted_and_options_are_no_part_of_a_question(tmp_path):
    answered = {"repeats": [{"answer": "2"}, {"answer": None}]}
    rows = [
        sample(0, exact_match=0.5, answered=answered, doc={"options": {"A": "x", "B": "y"}}),
        sample(1, answered={"repeats": [{"answer": "1"}] * 2}, doc={"options": {"A": "x"}}),
    ]
    outcomes, _ = read_outcomes(only(write_run(tmp_path / "a", rows)))
    assert outcomes.repeats == 2
    assert outcomes.metrics["answered"].tolist() == [0.5, 1]
    other = [
        sample(0, doc={"options": {"A": "y", "B": "x"}}),
        sample(1, doc={"options": {"A": "x"}}),
    ]
    shuffled, _ = read_outcomes(only(write_run(tmp_path / "b", other)))
    assert fingerprint(shuffled.questions) == fingerprint(outcomes.questions)
    assert fingerprint(shuffled.documents) != fingerprint(outcomes.documents)


def test_two_setups_of_one_task_are_not_taken_for_one(tmp_path):
    write_run(tmp_path / "a", scored([1]), day=1)
    write_run(tmp_path / "a", scored([0]), day=2)
    assert one_of_each_task("A", load_runs([tmp_path]).runs)["toy_cot"].accuracy == 0
    write_run(tmp_path / "b", scored([0]), model_args={"pretrained": "other"})
    with pytest.raises(DataError, match="several setups ran toy_cot"):
        one_of_each_task("A", load_runs([tmp_path]).runs)


def test_short_names_stay_apart_and_hub_names_stay_whole():
    assert short_names(["/a/run1/final", "/a/run2/final", "org/model", "gpt2"]) == {
        "/a/run1/final": "run1/final", "/a/run2/final": "run2/final",
        "org/model": "org/model", "gpt2": "gpt2",
    }  # fmt: skip


def test_the_tasks_record_the_version_of_the_grading():
    import yaml

    base = Path(__file__).parents[2] / "task_configs" / "_base"
    text = base.read_text(encoding="utf-8").replace("!function", "")
    assert yaml.safe_load(text)["metadata"]["grader"] == GRADER_VERSION
