"""How hard a problem is, as arithmetic."""

import pytest

from lm_eval_tts.strategies.compute_optimal import agreement, bin_of


@pytest.mark.parametrize(
    ("rate", "want"),
    [(1.0, "easy"), (0.5, "easy"), (0.49, "medium"), (0.1, "medium"), (0.09, "hard"), (0, "hard")],
)
def test_bins_have_the_published_bounds(rate, want):
    assert bin_of(rate) == want


@pytest.mark.parametrize(
    ("classes", "want"),
    [
        ([0, 0, 0, 0], 1),
        ([0, 0, 0, 1], 2 / 3),
        ([0, 1, 0, None], 1 / 3),
        ([0, 1, 2, 3], 0),
        ([None] * 4, 0),
    ],
)
def test_agreement_is_the_share_of_the_others_that_agree(classes, want):
    assert agreement(classes) == pytest.approx(want)


def test_one_sample_cannot_agree():
    with pytest.raises(ValueError, match="at least two"):
        agreement([0])
