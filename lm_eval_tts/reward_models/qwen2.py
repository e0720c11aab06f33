"""Published reward models that are a plain Qwen2 decoder with a small head.

They are loaded without the code in their repositories, which does not run on transformers 5."""

from typing import Any, ClassVar

import torch
from torch import nn
from transformers import Qwen2Model, Qwen2PreTrainedModel


class QwenPRM(Qwen2PreTrainedModel):
    """Qwen2ForProcessRewardModel: two classes on top of a hidden layer with ReLU, on each token.
    Names and shapes of the weights as in `modeling_qwen2_rm.py` of Qwen/Qwen2.5-Math-PRM-7B."""

    _keys_to_ignore_on_load_unexpected: ClassVar = ["lm_head"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.model = Qwen2Model(config)
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
        self.post_init()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the head's output for hidden states [n, size]: [n, 2]."""
        logits: torch.Tensor = self.score(hidden)
        return logits


class SkyworkPRM(Qwen2PreTrainedModel):
    """Qwen2ForPrmModel: one value on each token, computed in float32. Names and shapes as in
    `model_utils/prm_model.py` of SkyworkAI/skywork-o1-prm-inference."""

    _keep_in_fp32_modules_strict: ClassVar = ["v_head"]
    _keys_to_ignore_on_load_unexpected: ClassVar = ["lm_head"]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = nn.ModuleDict({"summary": nn.Linear(config.hidden_size, 1)})
        self.post_init()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the head's output for hidden states [n, size]: [n, 1]."""
        layer = self.v_head["summary"]
        logits: torch.Tensor = layer(hidden.to(layer.weight))
        return logits
