"""harness/preflight.py: no garbage is collected while large libraries are imported."""

import gc

import pytest

from lm_eval_tts.harness.preflight import without_collections


@pytest.fixture
def collecting():
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_within_the_block_and_what_it_made_is_left_alone(collecting):
    with without_collections():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)


def test_collections_come_back_after_an_import_that_failed(collecting):
    with pytest.raises(ImportError), without_collections():
        raise ImportError
    assert gc.isenabled()


def test_who_collects_by_hand_is_left_alone(collecting):
    gc.disable()
    with without_collections():
        pass
    assert not gc.isenabled()
