"""Reads whole inputs in padded batches: for models whose sequences cannot live in slots."""

from collections.abc import Sequence

import torch

from lm_eval_tts.reward_models.heads import Scorer
from lm_eval_tts.reward_models.inputs import Input, Reading


class PaddedReader:
    """Sorts inputs by length, so that little is padded, and reads `batch_size` at a time."""

    def __init__(self, scorer: Scorer, batch_size: int) -> None:
        self._scorer = scorer
        self._batch_size = batch_size

    def read(self, items: Sequence[Input]) -> list[Reading]:
        """Return the scores of each input, in order."""
        order = sorted(range(len(items)), key=lambda i: len(items[i].token_ids))
        results: dict[int, Reading] = {}
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            results.update(zip(batch, self._read([items[i] for i in batch]), strict=True))
        return [results[i] for i in range(len(items))]

    def _read(self, items: Sequence[Input]) -> list[Reading]:
        """Read a batch, padded on the right, where a causal model's tokens do not see it."""
        width = max(len(item.token_ids) for item in items)
        lengths = torch.tensor([len(item.token_ids) for item in items])
        ids = torch.tensor(
            [[*item.token_ids, *[0] * (width - len(item.token_ids))] for item in items]
        )
        mask = (torch.arange(width) < lengths[:, None]).long()
        device = self._scorer.backbone.device
        hidden = self._scorer.backbone(
            input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
        ).last_hidden_state
        results = []
        for row, item in enumerate(items):
            scores = self._scorer.head(hidden[row, list(item.positions)]).tolist()
            results.append(Reading(tuple(scores), len(item.token_ids)))
        return results
