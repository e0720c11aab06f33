"""One bad document costs one document, wherever it breaks, and what is no number is no figure."""

import pytest
import torch
from lm_eval.api.instance import Instance

from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.engines.hf.generate import GenerateEngine
from lm_eval_tts.engines.hf.sampler import Sampler
from lm_eval_tts.errors import RequestError
from lm_eval_tts.models.chat import TemplateChat
from lm_eval_tts.models.hf import TTSHF
from lm_eval_tts.reward_models.scripted import ScriptedRewardModel
from lm_eval_tts.strategies.single import Single

_decode = HFEngine._decode
PROMPTS = ["What is 1+1?", "poison", "What is 2+2?", "What is 3+3?"]
SHORT = {"max_gen_toks": 12}
SAMPLED = {**SHORT, "do_sample": True, "temperature": 1.0}
BEST = {**SAMPLED, "strategy": "best_of_n", "n": 2}
BEAM = {**SAMPLED, "strategy": "beam", "n": 2, "beam_width": 1, "num_iterations": 2}


@pytest.fixture
def model(tiny_checkpoint):
    return TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4)


def answers(model, contexts=PROMPTS, **kwargs):
    kwargs = kwargs or SHORT
    requests = [
        Instance("generate_until", {"id": str(i)}, (context, kwargs), i, ("task", i, 1))
        for i, context in enumerate(contexts)
    ]
    return model.generate_until(requests, disable_tqdm=True)


def check_only_poison_fails(responses, want, reason: str) -> None:
    assert reason in responses[1].details.failure
    for index in (0, 2, 3):
        assert responses[index].details.failure is None
        assert str(responses[index]) == str(want[index])


def poisoned(original, is_poison):
    def call(self, *args, **kwargs):
        if is_poison(*args):
            raise TypeError("cannot take this")
        return original(self, *args, **kwargs)

    return call


def test_a_prompt_that_cannot_be_encoded_fails_alone(model, monkeypatch):
    want = answers(model)
    broken = poisoned(TemplateChat.encode, lambda prompt: "poison" in prompt)
    monkeypatch.setattr(TemplateChat, "encode", broken)
    check_only_poison_fails(answers(model), want, "encoding failed on it: TypeError: cannot take")


def test_a_chat_that_the_template_refuses_fails_alone(model, monkeypatch):
    def render(texts):
        return [model.apply_chat_template([{"role": "user", "content": text}]) for text in texts]

    want = answers(model, render(PROMPTS))
    broken = poisoned(TemplateChat.apply, lambda messages, *_: "poison" in messages[0]["content"])
    monkeypatch.setattr(TemplateChat, "apply", broken)
    contexts = render(PROMPTS)
    check_only_poison_fails(answers(model, contexts), want, "the chat template failed on it")
    with pytest.raises(RequestError, match="the chat template failed"):
        model.loglikelihood([Instance("loglikelihood", {}, (contexts[1], "x"), 0)])


def test_a_strategy_that_raises_fails_alone(model, monkeypatch):
    want = answers(model)
    broken = poisoned(Single.run, lambda request: "poison" in request.question)
    monkeypatch.setattr(Single, "run", broken)
    check_only_poison_fails(answers(model), want, "TypeError: cannot take this")


def test_a_response_that_cannot_be_decoded_fails_alone(model, monkeypatch):
    want = answers(model)
    text = model.session.checkpoint.text
    ids = text.encode(str(want[1]))
    broken = poisoned(type(text).decode, lambda token_ids: tuple(token_ids[:3]) == ids[:3])
    monkeypatch.setattr(type(text), "decode", broken)
    check_only_poison_fails(answers(model), want, "TypeError: cannot take this")


def test_four_documents_in_a_row_that_break_the_model_are_four_failures(model, monkeypatch):
    contexts = ["What is 1+1?", *(f"poison {i}" for i in range(4)), "What is 2+2?"]
    want, poison = answers(model, contexts), model.tok_encode("poison")

    def decode(self):
        rows = [slot.row for slot in self._table.active if slot.row is not None]
        if any(list(row.op.token_ids[: len(poison)]) == list(poison) for row in rows):
            raise IndexError("index out of range")
        return _decode(self)

    monkeypatch.setattr(HFEngine, "_decode", decode)
    responses = answers(model, contexts)
    assert [r.details.failure is None for r in responses] == [True, *[False] * 4, True]
    assert str(responses[5]) == str(want[5])


@pytest.mark.parametrize("make", [HFEngine, GenerateEngine])
@pytest.mark.parametrize("kwargs", [SHORT, SAMPLED], ids=["greedy", "sampled"])
def test_logits_of_a_row_that_are_no_numbers_fail_that_row(model, monkeypatch, make, kwargs):
    model.session.engine = make(
        model.model,
        model.session.checkpoint.text,
        eos_token_ids=model.session.checkpoint.eos_token_ids,
        max_length=512,
        max_num_seqs=4,
    )
    want = answers(model, **kwargs)
    choose, poison = Sampler.draw, tuple(model.tok_encode("poison"))

    def broken(self, logits, draws, numbers):
        for row, draw in enumerate(draws):
            if tuple(draw.ids[: len(poison)]) == poison:
                logits = logits.clone()
                logits[row, 5] = torch.nan
        return choose(self, logits, draws, numbers)

    monkeypatch.setattr(Sampler, "draw", broken)
    responses = answers(model, **kwargs)
    check_only_poison_fails(responses, want, "the model's logits are not numbers after")
    assert str(responses[1]) == ""


def test_a_weight_that_is_no_number_fails_all_and_the_run_says_so(model):
    with torch.no_grad():
        model.model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    assert all("not numbers" in r.details.failure for r in answers(model))
    assert "4 of 4 requests failed" in model.session.state.complaint()


@pytest.mark.parametrize("kwargs", [BEST, BEAM], ids=["best of n", "beam"])
def test_a_reward_model_that_raises_for_one_document_costs_that_document(model, caplog, kwargs):
    def rate(question, steps):
        if question == "poison":
            raise IndexError("index out of range")
        return len(steps[-1]) % 7 / 7

    model.session.reward_model = ScriptedRewardModel(lambda q, steps: len(steps[-1]) % 7 / 7)
    want = answers(model, **kwargs)
    model.session.reward_model = ScriptedRewardModel(rate)
    responses = answers(model, **kwargs)
    check_only_poison_fails(responses, want, "could be rated, so none was chosen: the reward model")
    assert caplog.text.count("the reward model could not rate") == 1


def test_a_rating_that_is_missing_is_counted_and_the_rated_one_is_chosen(model):
    calls = []

    def rate(question, steps):
        calls.append(steps)
        return float("nan") if len(calls) == 1 else 0.1

    model.session.reward_model = ScriptedRewardModel(rate, outcome=True)
    (response,) = answers(model, PROMPTS[:1], **BEST)
    assert response.details.usage.scorer_unrated == 1
    scores = [c.details.scores["reward"] for c in response.details.candidates]
    chosen = next(str(c) for c in response.details.candidates if c.details.scores["reward"] == 0.1)
    assert len(scores) == 2
    assert str(response) == chosen
