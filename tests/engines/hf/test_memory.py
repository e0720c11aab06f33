"""engines/hf/memory.py: memory for keys and values, in huge pages where the system has them."""

import mmap

import pytest
import torch

from lm_eval_tts.engines.hf.memory import zeros_like

LINUX = hasattr(mmap, "MADV_HUGEPAGE")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_memory_of_keys_is_zero_and_can_be_written(dtype):
    keys = zeros_like(torch.empty(0, dtype=dtype), 3, 2, 5, 4)
    assert keys.shape == (3, 2, 5, 4)
    assert keys.dtype == dtype
    assert not keys.any()
    keys[1, :, 2] = 7
    assert keys.sum() == 7 * 2 * 4


def test_memory_outlives_the_call_that_made_it():
    views = [zeros_like(torch.empty(0), 1000, 1000)[i:] for i in range(3)]
    views[1].fill_(1)
    assert [float(view.sum()) for view in views] == [0, 999_000, 0]


@pytest.mark.skipif(not LINUX, reason="huge pages are asked for on Linux alone")
def test_a_system_without_such_pages_gives_memory_all_the_same(monkeypatch):
    class Refusing(mmap.mmap):
        def madvise(self, *advice):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refusing)
    assert not zeros_like(torch.empty(0), 4, 4).any()
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE")
    assert not zeros_like(torch.empty(0), 4, 4).any()
