"""`tts-replay`: recorded generations through the standard harness."""

import csv
import json
from pathlib import Path

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tts.errors import DataError, SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.models.replay import TTSReplay
from lm_eval_tts.models.scripted import ScriptedLM

ROWS = [{"id": i, "problem": f"What is {i} plus {i}?", "answer": 2 * i} for i in range(4)]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def evaluate(tmp_path: Path, task: str, **arguments) -> dict:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    write(data / "aime24.jsonl", ROWS)
    manager = TaskManager(
        include_path=task_configs(), include_defaults=False, metadata={"data_dir": str(data)}
    )
    model = TTSReplay(**arguments)
    return simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=0)


def said(row: dict, text: str) -> dict:
    return {"problem": row["problem"], "response": text}


def test_responses_find_their_documents_whatever_the_order_and_white_space(tmp_path):
    rows = [said(row, f"It is \\boxed{{{row['answer']}}}.") for row in reversed(ROWS)]
    rows[0]["problem"] = "  What is 3\nplus 3? "
    path = write(tmp_path / "old.jsonl", rows)
    results = evaluate(tmp_path, "aime24_cot", path=str(path))
    assert results["results"]["aime24_cot"]["exact_match,none"] == 1
    assert results["results"]["aime24_cot"]["failed,none"] == 0


def test_a_csv_file_with_another_column_name_works(tmp_path):
    path = tmp_path / "old.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "output"])
        writer.writeheader()
        writer.writerows({"id": r["id"], "output": f"<answer>{r['answer']}</answer>"} for r in ROWS)
    results = evaluate(tmp_path, "aime24_r1", path=str(path), response_column="output")
    assert results["results"]["aime24_r1"]["exact_match,none"] == 1
    assert "total_tokens,none" not in results["results"]["aime24_r1"]  # nothing to count with


def test_a_missing_document_is_reported_and_counted_as_failed(tmp_path, caplog):
    path = write(tmp_path / "old.jsonl", [said(row, "\\boxed{0}") for row in ROWS[:3]])
    results = evaluate(tmp_path, "aime24_cot", path=str(path))
    assert results["results"]["aime24_cot"]["failed,none"] == 0.25
    assert "1 of 4 responses are not in the recording: '3' is not recorded in" in caplog.text
    failed = [s for s in results["samples"]["aime24_cot"] if s["failed"]]
    assert failed[0]["answered"]["failure"].startswith("'3' is not recorded in ")


def test_tokens_are_counted_by_the_tokenizer_that_is_named(tmp_path, tiny_checkpoint):
    path = write(tmp_path / "old.jsonl", [said(row, "one two three") for row in ROWS])
    results = evaluate(tmp_path, "aime24_cot", path=str(path), tokenizer=str(tiny_checkpoint))
    assert results["results"]["aime24_cot"]["total_tokens,none"] > 2


def sample(row: dict, *responses: str, **more) -> dict:
    """A row of lm-eval's samples file."""
    doc = {"id": str(row["id"]), "question": row["problem"], "answer": str(row["answer"])}
    return {"doc_id": row["id"], "doc": doc, "resps": [list(responses)], "filter": "none", **more}


def test_lm_evals_own_samples_are_graded_anew_with_their_repeats(tmp_path):
    folder = tmp_path / "results" / "model"
    folder.mkdir(parents=True)
    old = [sample(row, "\\boxed{0}", "\\boxed{0}") for row in ROWS]
    new = [sample(row, f"\\boxed{{{row['answer']}}}", "\\boxed{-1}") for row in ROWS]
    again = [{**row, "filter": "strict"} for row in new]  # the same responses, another filter
    write(folder / "samples_aime24_cot_2025-01-01T00-00-00.jsonl", old)
    write(folder / "samples_aime24_cot_2026-01-01T00-00-00.jsonl", new + again)
    write(folder / "samples_aime24_cot_long_2027-01-01.jsonl", old)
    model = TTSReplay(path=str(tmp_path / "results"))
    manager = TaskManager(
        include_path=task_configs(),
        include_defaults=False,
        metadata={"data_dir": str(write(tmp_path / "aime24.jsonl", ROWS).parent)},
    )
    task = manager.load(["aime24_cot"])["tasks"]["aime24_cot"]
    task.set_config("repeats", 2)
    results = simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=0)
    assert results["results"]["aime24_cot"]["exact_match,none"] == 0.5
    assert results["results"]["aime24_cot"]["failed,none"] == 0


def test_our_own_samples_keep_their_token_counts(tmp_path):
    counts = {
        "thinking_tokens": 7, "answer_tokens": 2, "forced_tokens": 3, "total_tokens": 12,
        "sampled_tokens": 20, "engine_calls": 2, "waits": 1, "truncated": 0,
        "thinking_truncated": 1, "out_of_context": 0,
    }  # fmt: skip
    rows = [sample(row, "<answer>0</answer>", **counts) for row in ROWS]
    path = write(tmp_path / "samples_aime24_budget_2026.jsonl", rows)
    table = evaluate(tmp_path, "aime24_budget", path=str(path))["results"]["aime24_budget"]
    assert {name: table[f"{name},none"] for name in counts} == counts


def test_options_in_another_order_are_not_taken_for_the_same_question(tmp_path):
    from lm_eval.api.instance import Instance

    doc = {"id": "r1", "question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "A"}
    recorded = {"question": "Which?", "options": {"A": "y", "B": "x"}, "response": "A"}
    replay = TTSReplay(path=str(write(tmp_path / "old.jsonl", [recorded])))
    request = Instance("generate_until", doc, ("Which?", {}), 0, ("task", 0, 1))
    (response,) = replay.generate_until([request])
    assert "other options or another order" in response.details.failure


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, SettingsError, "needs recordings"),
        ({"path": "/nowhere"}, DataError, "no such file or folder"),
        ({"path": "/", "respose_column": "x"}, SettingsError, "did you mean 'response_column'"),
    ],
)
def test_wrong_arguments_are_named_at_once(arguments, error, message):
    with pytest.raises(error, match=message):
        TTSReplay(**arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: not a JSON object"),
        ('{"problem": "x", "text": "y"}', "no column 'response'; name it by response_column="),
    ],
)
def test_a_broken_recording_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "broken.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        evaluate(tmp_path, "aime24_cot", path=str(path))


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_replay_keeps_the_curve(tmp_path, repeats):
    """The text at every budget is in the samples file, and graded anew."""

    def write(text: str, seed: int) -> str:
        if text.endswith("<answer>"):
            return f"{text.count('and on') // 3}</answer>"
        return "".join(f"{i} and on. " for i in range(seed % 5, 20)) + "</think>"

    data = tmp_path / "data"
    data.mkdir()
    write_rows = [{**row, "answer": row["id"]} for row in ROWS]
    write_file = (data / "aime24.jsonl").write_text
    write_file("".join(json.dumps(row) + "\n" for row in write_rows), encoding="utf-8")
    base = f"{task_configs()}/aime24/aime24_budget.yaml"
    task = data / "curve.yaml"
    task.write_text(f"include: {base}\ntask: curve\nrepeats: {repeats}\n", encoding="utf-8")

    def run(model) -> dict:
        manager = TaskManager(
            include_path=[task_configs(), str(data)],
            include_defaults=False,
            metadata={"data_dir": str(data)},
        )
        kwargs = {"max_thinking_tokens": [20, 40, 80], "max_answer_tokens": 10}
        kwargs |= {"delimiters": "think", "do_sample": True, "temperature": 1.0}
        return simple_evaluate(
            model=model, tasks=["curve"], gen_kwargs=kwargs, task_manager=manager, bootstrap_iters=0
        )

    first = run(ScriptedLM(write))
    path = write_lines(tmp_path / "samples_curve_2026-01-01T00-00-00.jsonl", first["samples"])
    again = run(TTSReplay(path=str(path)))
    told = [name for name in first["results"]["curve"] if "@" in name]
    assert {"exact_match@20,none", "sampled_tokens@80,none"} <= set(told)
    assert 0 < first["results"]["curve"]["exact_match@80,none"] < 1
    for name in told:
        assert again["results"]["curve"][name] == first["results"]["curve"][name], name
    records = first["samples"]["curve"][0]["answered"]
    for record in records.get("repeats", [records]):
        kinds = [kind for kind, _ in record["pieces"]]
        assert kinds[:3] == ["forced", "thinking", "forced"]
        assert set(record["point_texts"]) == {"20", "40", "80"}


def write_lines(path: Path, samples: dict) -> Path:
    rows = [row for rows in samples.values() for row in rows]
    path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows), encoding="utf-8")
    return path
