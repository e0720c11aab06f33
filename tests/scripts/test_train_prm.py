"""What the recipe of process reward models trains on, and what it trains."""

import pytest

from lm_eval_tts.errors import DataError, SettingsError

pytest.importorskip("trl", reason="the recipes need the extra: pip install 'lm_eval_tts[train]'")

from train_prm import load_classifier, to_features

ROW = {"question": "What is 2+2?", "steps": ["2+2=5", "5"], "labels": [0, 0]}


def labelled(row, tokenizer) -> list[tuple[str, int]]:
    """Return the labelled tokens and their labels."""
    features = to_features(row, tokenizer, "row 1")
    pairs = zip(features["input_ids"], features["labels"], strict=True)
    return [(tokenizer.decode([token]), label) for token, label in pairs if label >= 0]


def test_a_label_is_at_the_separator_behind_each_step(tiny_tokenizer):
    assert labelled(ROW, tiny_tokenizer) == [("\n", 0), ("\n", 0)]


def test_tokens_are_labelled_where_the_row_says_what_is_wrong(tiny_tokenizer):
    row = {**ROW, "steps": ["2+2=5", "so 4"], "labels": [0, 1], "wrong_from": [4, None]}
    tokens = labelled(row, tiny_tokenizer)
    assert "".join(text for text, label in tokens if label == 0) == "5\n"
    assert "".join(text for text, label in tokens if label == 1) == "2+2=so 4\n"


def test_a_step_without_a_label_teaches_nothing(tiny_tokenizer):
    row = {**ROW, "labels": [0, None], "wrong_from": [4, 0]}
    assert "".join(text for text, _ in labelled(row, tiny_tokenizer)) == "2+2=5\n"


@pytest.mark.parametrize("change", [{"labels": [1]}, {"wrong_from": [None]}, {"steps": []}])
def test_a_row_with_a_column_of_another_length_is_named(change, tiny_tokenizer):
    with pytest.raises(DataError, match="row 1: has"):
        to_features({**ROW, **change}, tiny_tokenizer, "row 1")


def test_extra_layers_are_copies_of_the_last_ones(tiny_checkpoint):
    plain, deeper = (load_classifier(str(tiny_checkpoint), None, extra) for extra in (0, 1))
    assert deeper.config.num_hidden_layers == plain.config.num_hidden_layers + 1
    want, have = plain.base_model.layers[-1].state_dict(), deeper.base_model.layers[-1].state_dict()
    assert all(have[name].equal(weight) for name, weight in want.items())


def test_more_extra_layers_than_there_are_to_copy_are_refused(tiny_checkpoint):
    with pytest.raises(SettingsError, match="extra_layers=3: allowed is 0 to 2"):
        load_classifier(str(tiny_checkpoint), None, 3)
