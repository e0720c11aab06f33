"""`tts-hf` on a tiny random checkpoint, through lm_eval's own evaluator."""

import copy
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_llama
from emulated_graphs import Graphs
from helpers import BUDGET
from hf_helpers import complete_all, generate_alone
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from lm_eval_tts.core.program import Generate
from lm_eval_tts.engines.hf import engine
from lm_eval_tts.engines.hf.engine import HFEngine
from lm_eval_tts.errors import SettingsError
from lm_eval_tts.harness.names import task_configs
from lm_eval_tts.harness.response import Response
from lm_eval_tts.models.chat import ChatPrompt
from lm_eval_tts.models.hf import TTSHF

ROWS = [{"id": i, "problem": f"What is {i} plus {i}?", "answer": 2 * i} for i in range(5)]


@pytest.fixture
def aime_folder(tmp_path: Path) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "aime24.jsonl").write_text(text)
    return tmp_path


@pytest.fixture
def model(tiny_checkpoint: Path) -> TTSHF:
    return TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4)


def instance(context: str, repeats: int = 1, **kwargs) -> Instance:
    return Instance("generate_until", {"id": "7"}, (context, kwargs), 0, ("task", 0, repeats))


def answer(model: TTSHF, context: str, **kwargs) -> Response:
    (response,) = model.generate_until([instance(context, **kwargs)], disable_tqdm=True)
    return response


def test_the_bare_task_runs_through_lm_eval_and_logs_what_happened(model, aime_folder):
    manager = TaskManager(
        include_path=task_configs(),
        include_defaults=False,
        metadata={"data_dir": str(aime_folder)},
    )
    results = simple_evaluate(
        model=model,
        tasks=["aime24_budget", "aime24_progressive", "aime24_cot"],
        gen_kwargs="max_thinking_tokens=24,max_answer_tokens=8,max_gen_toks=60",
        task_manager=manager,
        limit=3,
        bootstrap_iters=0,
    )
    table = results["results"]["aime24_budget"]
    assert table["failed,none"] == 0
    assert table["thinking_tokens,none"] <= 24
    assert 0 <= table["exact_match,none"] <= 1
    assert "exact_match@wait3,none" in results["results"]["aime24_progressive"]
    assert "format_strict,none" not in results["results"]["aime24_cot"]  # no tags asked for
    for sample in results["samples"]["aime24_budget"]:
        ((text,),) = sample["resps"]
        assert text.startswith("<think>\n")
        assert text.endswith("</answer>")
        assert sample["total_tokens"] >= sample["thinking_tokens"] + sample["answer_tokens"]
        assert sample["answered"]["state"] == "both"
    json.dumps(results["samples"], default=str)


def test_counts_equal_the_tokens_of_the_logged_text(model):
    response = answer(model, "What is 2+2?", **BUDGET)
    usage = response.details.usage
    text = str(response)
    encode = model.session.checkpoint.text.encode
    thinking = text.removeprefix("<think>\n").partition("</think>")[0]
    if usage.waits == 0:
        assert usage.forced >= len(encode("<think>\n")) + len(encode("\n<answer>"))
    assert usage.thinking == 24 or not usage.thinking_truncated
    assert model.session.checkpoint.text.decode(encode(thinking)) == thinking
    assert usage.total <= 24 + 8 + sum(
        len(encode(tag)) for tag in ("<think>\n", "</think>", "\n<answer>", "</answer>")
    )
    assert usage.engine_calls == 2 + usage.waits


def test_a_stock_task_gets_what_the_stock_model_would_say(model, tiny_checkpoint):
    from lm_eval.models.huggingface import HFLM

    stock = HFLM(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4)
    requests = [
        instance(text, until=["is", "\n\n"], max_gen_toks=20, do_sample=False)
        for text in ("Question: what is 2+2?\nAnswer:", "First we add", "x y z")
    ]
    assert model.generate_until(requests) == stock.generate_until(requests)


def test_mixed_precision_is_that_of_the_stock_model(tiny_checkpoint):
    from lm_eval.models.huggingface import HFLM

    arguments = {"pretrained": str(tiny_checkpoint), "device": "cpu", "dtype": "float32"}
    mixed = TTSHF(**arguments, mixed_precision_dtype="bfloat16")
    seen = []
    mixed.model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    kwargs = {"until": ["never"], "max_gen_toks": 20, "do_sample": False}
    stock = HFLM(**arguments, mixed_precision_dtype="bfloat16")
    have, want = (
        lm.generate_until([instance("Who? ", **kwargs)], disable_tqdm=True) for lm in (mixed, stock)
    )
    assert have == want
    assert all(seen)


@pytest.mark.parametrize(("dtype", "warns"), [("float16", True), ("float32", False)])
def test_half_precision_that_a_checkpoint_was_not_trained_in_is_one_warning(
    tiny_checkpoint, tmp_path, caplog, dtype, warns
):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "bfloat16")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    TTSHF(str(folder), dtype=dtype, device="cpu")
    assert caplog.text.count("was trained in bfloat16") == warns


def test_log_likelihood_tasks_run_as_with_the_stock_model(model, tiny_checkpoint, caplog):
    from lm_eval.models.huggingface import HFLM

    stock = HFLM(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4)
    requests = [
        Instance("loglikelihood", {}, ("The answer", text), 0, ("t", 0, 1))
        for text in (" is", " x")
    ]
    assert model.loglikelihood(requests) == stock.loglikelihood(requests)
    rolling = [Instance("loglikelihood_rolling", {}, ("The answer is",), 0, ("t", 0, 1))]
    assert model.loglikelihood_rolling(rolling) == stock.loglikelihood_rolling(rolling)
    told = [r.getMessage() for r in caplog.records if "strategies act on" in r.getMessage()]
    assert [line.partition(":")[0] for line in told] == [
        "2 log-likelihood requests", "1 log-likelihood requests"
    ]  # fmt: skip


def test_a_sampled_response_depends_on_document_repeat_and_seed_alone(tiny_checkpoint):
    hot = {"temperature": 1.0, "do_sample": True, "max_gen_toks": 12, "seed": 5}
    requests = [instance(f"Question {i}?", repeats=2, **hot) for i in range(3)]
    twice = [request for request in requests for _ in range(2)]

    def responses(batch_size: int, ordered: list[Instance]) -> list[str]:
        model = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=batch_size)
        return model.generate_until(ordered, disable_tqdm=True)

    want = responses(1, twice)
    assert len(set(want)) == 6
    assert responses(6, twice) == want
    assert responses(2, twice[::-1])[::-1][0::2] == want[1::2]


def test_lm_evals_seed_changes_what_is_sampled(model):
    import torch

    hot = {"temperature": 1.0, "do_sample": True, "max_gen_toks": 12}
    have = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        have.append(answer(model, "Question?", **hot))
    assert have[0] == have[1] != have[2]


def test_requests_that_even_out_ranks_are_answered_once_and_marked(model):
    request = instance("Question?", max_gen_toks=5)
    first, padding = model.generate_until([request, request])
    assert first == padding
    assert not first.details.padding
    assert padding.details.padding


def test_a_prompt_that_does_not_fit_is_a_failure_and_the_others_go_on(model):
    long = instance("word " * 600, **BUDGET)
    failed, fine = model.generate_until([long, instance("2+2?", **BUDGET)])
    assert (failed, fine.details.failure) == ("", None)
    assert "too few for the delimiters and an answer" in failed.details.failure
    assert fine.endswith("</answer>")


def test_a_context_shorter_than_the_budget_keeps_room_for_the_answer(model):
    request = {**BUDGET, "max_thinking_tokens": 2000, "num_waits": 0}
    usage = answer(model, "word " * 60, **request).details.usage
    assert usage.thinking_truncated == usage.out_of_context
    assert usage.total < 512


def test_the_chat_template_is_applied_once_and_no_system_message_is_lost(model):
    history = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "2+2?"}]
    context = model.apply_chat_template(history)
    assert context == "<|system|>Be kind.<|end|>\n<|user|>2+2?<|end|>\n<|assistant|>"
    assert pickle.loads(pickle.dumps(copy.deepcopy(context))).messages == history
    plan = model.session.plan(instance(context), 0, model.session.settings_reader()(BUDGET))
    prompt = model.tokenizer.decode(plan.request.prompt)
    assert prompt.startswith("<|system|>Be kind.\n\nThink the problem through")
    assert prompt.count("<|system|>") == prompt.count("<|user|>2+2?<|end|>") == 1


def test_a_template_that_refuses_system_messages_gets_them_in_the_user_turn(model):
    model.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    )
    prompt = model.session.chat.render(
        [{"role": "system", "content": "Think."}, {"role": "user", "content": "2+2?"}]
    )
    assert (prompt, type(prompt)) == ("<|user|>Think.\n\n2+2?", ChatPrompt)


def test_a_base_model_without_a_template_gets_a_plain_prompt(model):
    model.tokenizer.chat_template = None
    prompt = model.session.chat.render([{"role": "user", "content": "2+2?"}])
    assert (prompt, type(prompt)) == ("2+2?\n\n", str)


def test_a_tag_that_the_template_opens_is_shown_but_not_written_again(model):
    model.tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}<|assistant|><think>\n"
    )
    response = answer(model, "2+2?", **BUDGET)
    assert response.startswith("<think>\n")
    assert response.count("<think>") == 1


def test_a_response_keeps_its_details_when_it_is_pickled_or_copied(model):
    response = answer(model, "2+2?", **{**BUDGET, "max_thinking_tokens": [4, 9]})
    for twin in (pickle.loads(pickle.dumps(response)), copy.deepcopy(response)):
        assert twin == response
        assert twin.details == response.details
        assert twin.details.points["4"].details.usage.thinking <= 4


def test_phases_of_an_unforced_response_are_read_from_its_tags(model):
    from lm_eval_tts.engines.scripted import ScriptedEngine

    text = "<think>\nabc</think> then <answer>42</answer>"
    model.session.engine = ScriptedEngine(
        lambda prompt, seed: text, tokenizer=model.session.checkpoint.text, max_length=500
    )
    usage = answer(model, "Q", prompt_style="r1", max_gen_toks=99).details.usage
    encode = model.session.checkpoint.text.encode
    assert usage.thinking == len(encode("\nabc"))
    assert usage.forced == 0
    assert usage.total == usage.sampled == len(encode(text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pretrained": "x", "num_wait": 1}, "did you mean 'num_waits'"),
        ({"pretrained": "x", "strategy": "beam_"}, "unknown strategy"),
        ({"pretrained": "x", "temperature": -2}, "temperature=-2.0"),
    ],
)
def test_wrong_model_arguments_are_named_before_anything_is_loaded(arguments, message):
    with pytest.raises(SettingsError, match=message):
        TTSHF(**arguments)


def test_settings_in_the_model_arguments_are_defaults_under_the_tasks(tiny_checkpoint):
    model = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", wait_text="Hmm", num_waits=2)
    read = model.session.settings_reader()
    strategy = read(BUDGET).strategy
    assert (strategy.wait_text, strategy.num_waits) == ("Hmm", 1)


def test_a_lora_adapter_answers_as_its_merged_model_does(tiny_checkpoint, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    adapted = get_peft_model(base, config)
    adapted.save_pretrained(tmp_path / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path / "merged")
    request = {**BUDGET, "num_waits": 0}
    plain = TTSHF(pretrained=str(tiny_checkpoint), device="cpu")
    with_adapter = TTSHF(
        pretrained=str(tiny_checkpoint), peft=str(tmp_path / "adapter"), device="cpu"
    )
    merged = TTSHF(pretrained=str(tmp_path / "merged"), device="cpu")
    want = answer(merged, "2+2?", **request)
    assert answer(with_adapter, "2+2?", **request) == want
    assert answer(plain, "2+2?", **request) != want


def test_half_precision_runs(tiny_checkpoint):
    model = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", dtype="bfloat16")
    assert str(model.model.dtype) == "torch.bfloat16"
    assert answer(model, "2+2?", **BUDGET).endswith("</answer>")


def test_a_checkpoint_in_four_bits_runs_on_slots_and_says_what_generate_says(
    tmp_path,
):
    pytest.importorskip("bitsandbytes", reason="pip install bitsandbytes")
    whole = save_tiny_llama(tmp_path / "whole", hidden_size=64)  # its kernels want 64 in a block
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    quantized = AutoModelForCausalLM.from_pretrained(
        whole, quantization_config=four_bits, device_map="cpu"
    )
    quantized.save_pretrained(tmp_path / "four-bits")
    AutoTokenizer.from_pretrained(whole).save_pretrained(tmp_path / "four-bits")
    model = TTSHF(pretrained=str(tmp_path / "four-bits"), device="cpu", batch_size=4)
    assert model.model.is_loaded_in_4bit
    assert isinstance(model.session.engine, HFEngine)
    row = tuple(model.tok_encode("What is 2+2?"))
    ((completion,),) = complete_all(model.session.engine, [Generate(row, 20)])
    assert completion.sampled_ids == generate_alone(quantized, row, 20)


def test_the_batch_size_may_be_found_automatically(tiny_checkpoint):
    model = TTSHF(
        pretrained=str(tiny_checkpoint), device="cpu", batch_size="auto", max_batch_size=3
    )
    assert model.session.engine.max_num_seqs == 3
    assert answer(model, "2+2?", **BUDGET).endswith("</answer>")


def test_the_slot_engine_is_the_default_and_its_answers_are_those_of_generate(model):
    from lm_eval_tts.engines.hf.generate import GenerateEngine

    assert isinstance(model.session.engine, HFEngine)
    want = answer(model, "2+2?", **BUDGET)
    model.session.engine = GenerateEngine(
        model.model,
        model.session.checkpoint.text,
        eos_token_ids=model.session.checkpoint.eos_token_ids,
        max_length=model.max_length,
        max_num_seqs=4,
    )
    assert answer(model, "2+2?", **BUDGET) == want


@pytest.mark.parametrize(
    ("arguments", "captures"),
    [({}, True), ({"enforce_eager": True}, False), ({"mixed_precision_dtype": "bfloat16"}, False)],
)
def test_steps_are_captured_where_a_device_can_unless_enforce_eager_asks_for_none(
    tiny_checkpoint, monkeypatch, arguments, captures
):
    graphs = Graphs()
    monkeypatch.setattr(engine, "recorder_for", lambda model: graphs)
    lm = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=4, **arguments)
    answer(lm, "What is 2 plus 2?", **BUDGET)
    assert bool(graphs.replayed) == captures


def test_an_encoder_decoder_is_refused_with_the_reason(model):
    model.backend = "seq2seq"
    with pytest.raises(SettingsError, match="need a decoder-only model"):
        answer(model, "2+2?", **BUDGET)


def test_adapters_follow_each_other_on_one_loaded_model(tiny_checkpoint: Path, tmp_path: Path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    lm = TTSHF(pretrained=str(tiny_checkpoint), device="cpu", batch_size=2)
    ask = {"max_gen_toks": 12, "until": []}
    plain = answer(lm, "2+2?", **ask)
    weights = lm.model.get_input_embeddings().weight
    lm.use_adapter(str(tmp_path / "adapter"))
    adapted = answer(lm, "2+2?", **ask)
    assert adapted != plain
    assert lm.get_model_info()["peft"] == str(tmp_path / "adapter")
    lm.use_adapter(None)
    assert answer(lm, "2+2?", **ask) == plain
    assert lm.model.get_input_embeddings().weight is weights
    merged = TTSHF(
        pretrained=str(tiny_checkpoint),
        peft=str(tmp_path / "adapter"),
        merge_peft=True,
        device="cpu",
        batch_size=2,
    )
    assert answer(merged, "2+2?", **ask) == adapted
    with pytest.raises(SettingsError, match="merged"):
        merged.use_adapter(None)


def test_a_loaded_peft_model_keeps_its_adapters_name(tiny_model, tiny_tokenizer):
    import copy

    from peft import LoraConfig, get_peft_model

    from lm_eval_tts.models.hf import TTSHF

    def named(name: str) -> str:
        model = get_peft_model(copy.deepcopy(tiny_model), LoraConfig(r=2), adapter_name=name)
        return TTSHF(model, tokenizer=tiny_tokenizer).get_model_info()["peft"]

    assert named("grpo") == "grpo"
    assert named("default").startswith("adapter ")
    assert TTSHF(tiny_model, tokenizer=tiny_tokenizer).get_model_info()["peft"] is None


def test_without_a_device_it_runs_on_what_there_is(tiny_checkpoint):
    from lm_eval_tts.models.hf import TTSHF

    lm = TTSHF.create_from_arg_string(f"pretrained={tiny_checkpoint}", {"device": None})
    assert lm.device.type in ("cpu", "cuda")


def test_arguments_may_be_a_mapping_where_lm_eval_passes_on_what_was_not_given(tiny_checkpoint):
    from lm_eval_tts.models.hf import TTSHF

    unset = {"batch_size": None, "max_batch_size": None, "device": None}
    lm = TTSHF.create_from_arg_obj({"pretrained": str(tiny_checkpoint), "device": "cpu"}, unset)
    assert lm.device.type == "cpu"


def test_thinking_may_be_switched_on_where_delimiters_say_where_it_ends(tiny_checkpoint):
    lm = TTSHF(
        pretrained=str(tiny_checkpoint), device="cpu", enable_thinking="true", delimiters="think"
    )
    assert lm.enable_thinking is True
    assert lm.chat_template_args["enable_thinking"] is True
    with pytest.raises(SettingsError, match="enable_thinking='maybe'"):
        TTSHF(pretrained=str(tiny_checkpoint), device="cpu", enable_thinking="maybe")


def test_the_tiny_reasoner_takes_one_thread_and_gives_the_others_back(monkeypatch):
    import torch

    from lm_eval_tts.models.base import StrategyLM
    from lm_eval_tts.models.hf import TTSHF

    seen, lm = [], TTSHF(device="cpu")
    monkeypatch.setattr(
        StrategyLM, "generate_until", lambda *given: seen.append(torch.get_num_threads()) or []
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    lm.generate_until([])
    assert (seen, torch.get_num_threads()) == ([1], 2)
    torch.set_num_threads(before)
