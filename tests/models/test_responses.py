"""What a response counts, of a model that a Python function writes."""

from lm_eval.api.instance import Instance

from lm_eval_tts.models.scripted import ScriptedLM


def answer(text: str):
    lm = ScriptedLM(lambda prompt, seed: text, delimiters="think")
    instance = Instance("generate_until", {"id": "7"}, ("2+2?", {}), 0, ("task", 0, 1))
    (response,) = lm.generate_until([instance], disable_tqdm=True)
    return response


def test_thinking_ends_at_the_last_closing_tag_in_counts_as_in_what_is_graded():
    response = answer("<think>a</think>b</think>\n\n4")
    usage = response.details.usage
    assert response.answer == "4"
    assert usage.thinking == len("a</think>b")
    assert usage.answer == len("\n\n4")
