"""The tour's findings on made-up numbers: seen where the numbers say so, beyond chance."""

import re

import numpy as np
import tour
import tour_findings as findings
from tour_findings import Finding, Policy, Searched, Styled

DOCS = 500


def scores(share: float) -> np.ndarray:
    """Scores of which the first `share` are right, so that larger shares contain smaller ones."""
    return (np.arange(DOCS) < share * DOCS).astype(float)


def numbers(value: float) -> np.ndarray:
    return np.full(DOCS, value)


def test_a_rise_over_four_doublings_that_flattens_is_seen():
    shares = {8: 0.2, 16: 0.35, 32: 0.5, 64: 0.65, 128: 0.8, 256: 0.81}
    finding = findings.budget_scaling({b: scores(s) for b, s in shares.items()})
    assert finding.seen
    assert abs(finding.figures[0].value - 0.15) < 1e-9
    assert "R2 1.00" in finding.claim


def test_a_flat_curve_and_one_that_still_rises_are_not():
    flat = {2**i: scores(0.5) for i in range(3, 9)}
    rising = {2**i: scores(0.1 * i) for i in range(3, 9)}
    assert not findings.budget_scaling(flat).seen
    assert not findings.budget_scaling(rising).seen


def test_waits_have_to_help_the_trained_policy_alone():
    helped, same = [scores(s) for s in (0.7, 0.8, 0.81)], [scores(0.7)] * 3
    assert findings.waiting(helped, same).seen
    assert not findings.waiting(helped, helped).seen
    assert not findings.waiting(same, same).seen
    too_little = [scores(s) for s in (0.7, 0.72, 0.72)]
    assert not findings.waiting(too_little, same).seen


def test_drafts_are_short_and_hardly_worse():
    cot, cod = Styled(scores(0.9), numbers(100)), Styled(scores(0.88), numbers(40))
    standard = Styled(scores(0.4), numbers(4))
    assert findings.drafts(cot, cod, standard).seen
    assert not findings.drafts(cot, cod._replace(tokens=numbers(70)), standard).seen
    assert not findings.drafts(cot, cod._replace(scores=scores(0.8)), standard).seen
    assert not findings.drafts(cot, cod, cod).seen


def test_the_format_is_learned_and_the_policy_lost():
    sft, hot = (Policy(scores(right), numbers(60), scores(1)) for right in (0.9, 0.1))
    assert findings.formatting(scores(0), sft, hot).seen
    assert not findings.formatting(scores(0), sft, sft).seen
    assert not findings.formatting(scores(0.5), sft, hot).seen


def test_grpo_gains_or_saves_and_a_bad_reward_is_caught():
    sft, hacked = Policy(scores(0.7), numbers(60), scores(1)), Policy(*map(scores, (0.1, 0.1, 1)))
    better, shorter = sft._replace(scores=scores(0.8)), sft._replace(cost=numbers(40))
    assert findings.reinforcement(sft, better, hacked).seen
    assert findings.reinforcement(sft, shorter, hacked).seen
    assert not findings.reinforcement(sft, sft, hacked).seen
    assert not findings.reinforcement(sft, better, better).seen


def test_votes_rise_and_the_reward_model_beats_them():
    majority = {n: scores(0.6 + 0.05 * i) for i, n in enumerate((1, 2, 4, 8))}
    assert findings.votes(majority, scores(0.85), scores(0.86)).seen
    assert not findings.votes(majority, scores(0.7), scores(0.7)).seen
    assert not findings.votes(majority, scores(0.85), scores(0.75)).seen


def test_search_pays_on_hard_problems_only():
    gained, same = Searched(scores(0.4), scores(0.6)), Searched(scores(0.95), scores(0.95))
    wide, distinct = (scores(0.6), scores(0.7)), (numbers(4), numbers(2))
    assert findings.search(gained, same, same, wide, distinct).seen
    assert not findings.search(same, same, same, wide, distinct).seen
    assert not findings.search(gained, gained, same, wide, distinct).seen
    assert not findings.search(gained, same, gained, wide, distinct).seen
    assert not findings.search(gained, same, same, wide[::-1], distinct).seen
    assert not findings.search(gained, same, same, wide, distinct[::-1]).seen


def test_a_choice_is_compared_with_each_fixed_strategy():
    fixed = {"majority": scores(0.7), "beam": scores(0.8)}
    finding = findings.choosing(scores(0.8), fixed, probes=1 / 3)
    assert finding.seen
    assert len(finding.figures) == 2
    assert not findings.choosing(scores(0.75), fixed, probes=1 / 3).seen


def test_a_small_policy_has_to_win_at_fewer_flops():
    large, greedy = Policy(scores(0.8), numbers(1e9), scores(1)), scores(0.9)
    better, worse = (Policy(scores(0.9), numbers(cost), scores(1)) for cost in (5e8, 2e9))
    assert findings.small_beats_large(better, large, greedy).seen
    assert not findings.small_beats_large(worse, large, greedy).seen
    same = large._replace(cost=numbers(1e8))
    assert not findings.small_beats_large(same, large, greedy).seen


def test_overthinking_is_a_fall_and_truncation_is_told_apart_from_inability():
    cut = 1 - scores(0.5)
    assert findings.overthinking([scores(0.8), scores(0.5)], scores(0.5), cut).seen
    assert not findings.overthinking([scores(0.8), scores(0.8)], scores(0.5), cut).seen
    assert not findings.overthinking([scores(0.8), scores(0.5)], scores(0.5), numbers(0)).seen


def test_a_finding_is_one_line_with_its_figures():
    line = str(Finding(2, "waits help", [findings.gain("wait", scores(0.7), scores(0.8))], True))
    assert re.fullmatch(
        r" 2\. SEEN: waits help\. wait \+10\.0 points \(\+7\.\d to \+12\.\d\)", line
    )


def test_the_page_has_a_drawing_for_each_figure():
    finding = findings.votes({1: scores(0.4), 2: scores(0.6)}, scores(0.9), scores(1))
    text = tour.page([finding], "1 of 1")
    assert text.count("<svg") == len(finding.figures)
    assert "6. votes rise with n" in text


def test_probes_agree_by_their_commonest_answer():
    candidates = [{"class": number} for number in (0, 0, 0, 1, 2, 2, 2, 2)]
    answers = tour.classes({"answered": {"candidates": candidates}})
    assert tour.agreement(answers) == 3 / 4
