"""What a policy of the small world writes, whatever runs it."""

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tts.harness.names import task_configs


def written(model, task: str, limit: int) -> list[str]:
    """The responses to a task's first documents."""
    tasks = TaskManager(include_path=task_configs(), include_defaults=False)
    results = simple_evaluate(
        model=model, tasks=[task], limit=limit, bootstrap_iters=0, task_manager=tasks
    )
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return [sample["resps"][0][0] for sample in samples]
