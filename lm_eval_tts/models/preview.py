"""What a task would send for a document, without the weights of the model that it is sent to."""

from collections.abc import Mapping
from typing import Any

from lm_eval_tts.checkpoints import DEFAULTS, find_checkpoint
from lm_eval_tts.core.identity import document_number
from lm_eval_tts.core.trace import Delimiters
from lm_eval_tts.errors import DataError, LmEvalTTSError, SettingsError, did_you_mean, reason_of
from lm_eval_tts.harness.names import own_tasks, task_configs
from lm_eval_tts.harness.summary import quiet
from lm_eval_tts.models.answering import make_plan
from lm_eval_tts.models.arguments import loading
from lm_eval_tts.models.chat import TemplateChat
from lm_eval_tts.models.checkpoint import Checkpoint, find_family
from lm_eval_tts.settings import parse_settings

NO_LIMIT = 1 << 30  # tokens of a context that is not known


def preview(
    task: str, document: str | None, pretrained: str | None, gen_kwargs: str
) -> tuple[str, Mapping[str, Any], str, Delimiters]:
    """Return the prompt that a task sends, its settings with what was given over them, the
    reference, and the delimiters. document: its id or number, the first by default. pretrained:
    whose tokenizer and chat template. Raises SettingsError and DataError for what is not there."""
    from lm_eval.tasks import TaskManager
    from lm_eval.utils import simple_parse_args_string
    from transformers import AutoTokenizer

    # To index lm_eval's nearly 14,000 files takes ten seconds, which our own tasks do not need.
    own = {"include_path": str(task_configs()), "include_defaults": False}
    manager = TaskManager(**(own if task in own_tasks() else {}))
    if task not in manager.all_tasks:
        hint = did_you_mean(task, manager.all_tasks)
        raise SettingsError(f"{task!r} is neither task nor results: {hint}see lm_eval ls tasks")
    with quiet():
        try:
            loaded = next(iter(manager.load([task])["tasks"].values()))
        except LmEvalTTSError:
            raise
        except Exception as error:  # of the Hub, or of the task's own code
            raise DataError(f"{task} cannot be loaded: {reason_of(error)}") from error
        number = document_number(list(loaded.eval_docs), document)
        loaded.build_all_requests(samples=[number])
    instance = loaded.instances[0]
    name = find_checkpoint(pretrained or DEFAULTS["pretrained"])
    with loading({"pretrained": name}):
        checkpoint = Checkpoint(AutoTokenizer.from_pretrained(name), {})
    chat = TemplateChat(checkpoint.tokenizer, {})
    given = {**instance.args[1], **simple_parse_args_string(gen_kwargs)}
    settings = parse_settings(given, find_family(chat).delimiters)
    plan = make_plan(instance, instance.args[0], 0, settings, chat, checkpoint, NO_LIMIT)
    reference = str(loaded.doc_to_target(instance.doc))
    return plan.prompt.text, given, reference, settings.delimiters
