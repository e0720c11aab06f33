"""A prompt and a response in the terminal: to the letter, phase by phase."""

import pytest
from results_helpers import sample, searched, write_run
from rich.text import Text

from lm_eval_tts.cli import main
from lm_eval_tts.results.show import STYLES, coloured

TEXT = "<think>\nI add. Wait I add.</think><answer>2</answer>"
PIECES = [["forced", 8], ["thinking", 7], ["wait", 5], ["thinking", 6], ["tag", 8], ["answer", 18]]


def candidate(text: str, answer: str, number: int, right: bool, reward: float | None) -> dict:
    known = {"text": text, "answer": answer, "class": number, "correct": right}
    return {**known, "total_tokens": len(text), "scores": {"reward": reward}}


CANDIDATES = [
    candidate(TEXT, "2", 0, True, 0.75),
    candidate("3", "3", 1, False, None),
    candidate("two", "2", 0, True, 0.5),
]


@pytest.fixture
def results(tmp_path):
    answered = {
        "prompt": {"text": "User: 1 + 1?[x]\nAssistant: ", "num_tokens": 9},
        "pieces": PIECES,
        "points": {"16": "1", "64": "2"},
        "point_texts": {"16": [14, "</think>1"], "64": [len(TEXT), ""]},
        "candidates": CANDIDATES,
    }
    more = {"exact_match@16": 0.0, "exact_match@64": 1.0, "thinking_tokens@16": 16.0}
    more |= {"sampled_tokens@16": 18.0, "sampled_tokens": 40.0}
    row = sample(0, resps=[[TEXT]], answered=answered, **more)
    row["metrics"].remove("answered")
    write_run(tmp_path / "results", [row, {**sample(1), **dict.fromkeys(more, 0.0)}])
    return tmp_path / "results"


def test_a_response_is_shown_with_all_that_is_known_of_it(results, capsys):
    assert main(["show", str(results), "q0"]) == 0
    said = capsys.readouterr().out
    assert "User: 1 + 1?[x]\nAssistant: \n" in said  # to the letter, and no markup
    assert TEXT in said
    assert "strategy = 'single'" in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "16 1 0 18 16" in lines  # budget, answer, score, sampled and thinking tokens
    assert f"* 2 2 True 0.75 {len(TEXT)}" in lines  # the chosen one, with two votes
    assert "3 1 False – 1" in lines
    assert any("sampled_tokens 40" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "config", "shown"),
    [
        ({}, {}, None),  # the task's samples name no style
        ({"delimiters": "think"}, {}, "</think>"),
        ({"thinking_end": "DONE"}, {}, "DONE"),
        ({}, {"model_delimiters": "qwen3"}, "</think>"),  # the family of the model
    ],
)
def test_a_run_shows_the_delimiters_that_were_in_force(tmp_path, capsys, arguments, config, shown):
    given = {"model": "tts-hf", "model_args": {"pretrained": "base", **arguments}, **config}
    write_run(tmp_path, [sample(0, resps=[["4"]])], config=given)
    assert main(["show", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert ("thinking_end" in said) == bool(shown)
    assert not shown or shown in said


def test_every_phase_has_its_colour():
    text = coloured(TEXT[:34], TEXT[34:], [(kind, length) for kind, length in PIECES])
    assert text.plain == TEXT
    spans = [(text.plain[span.start : span.end], span.style) for span in text.spans]
    assert ("Wait ", STYLES["wait"]) in spans
    assert ("<think>\n", STYLES["forced"]) in spans
    assert ("<answer>2</answer>", STYLES["answer"]) in spans


def test_where_no_phases_are_noted_the_tags_tell():
    assert coloured("<think>a</think>", "2", []) == Text.assemble(
        ("<think>a</think>", STYLES["thinking"]), ("2", STYLES["answer"])
    )


@pytest.mark.parametrize(
    ("document", "says"), [("q9", "no document 'q9'"), ("2", "no document '2'")]
)
def test_a_document_that_is_not_there_is_named(results, capsys, document, says):
    assert main(["show", str(results), document]) == 2
    assert says in capsys.readouterr().err


def test_runs_without_the_document_are_passed_over(results, capsys):
    write_run(results / "other", [sample(7)], "toy_r1")
    assert main(["show", str(results), "q0"]) == 0
    said = capsys.readouterr().out
    assert "toy_cot of" in said
    assert "toy_r1 of" not in said
    (next((results / "other").glob("samples_*"))).unlink()
    assert main(["show", str(results / "other")]) == 2
    assert "--log_samples" in capsys.readouterr().err


def test_a_search_is_shown_as_a_tree(tmp_path, capsys):
    write_run(tmp_path, [searched(0)])
    assert main(["show", str(tmp_path)]) == 0
    said = capsys.readouterr().out.split("search ")[1].split("cost ")[0].splitlines()[1:]
    assert [line.strip(" │├└─") for line in said] == [
        "0.25 dropped: Add.",
        "0.75 chosen: Count $x^2$.",
        "– complete: It is $3$.",
        "0.875 chosen: It is $1$.",
    ]


@pytest.mark.slow
def test_a_task_shows_what_it_sends_without_a_model(capsys):
    assert main(["show", "arith_budget", "arith-002", "--gen_kwargs", "num_waits=2"]) == 0
    said = capsys.readouterr().out
    assert "User: Ben has 72 cards." in said
    assert said.index("\nAssistant: ") < said.index("num_waits = 2")
    assert "thinking_end = '</think>'" in said
    assert said.rstrip().endswith("55")
    assert main(["show", "arith_buget"]) == 2
    assert "did you mean 'arith_budget'?" in capsys.readouterr().err
    assert main(["show", "arith_budget", "arith-900"]) == 2
    assert "no document 'arith-900': there are 200" in capsys.readouterr().err
