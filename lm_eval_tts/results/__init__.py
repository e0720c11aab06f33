"""Reads result files only: recorded generations of lm-eval and of others; never a model.

    reading      files, runs, setups, documents, sample_texts, recordings
    figures      points, statistics
    reports      leaderboard (_text, _html, page/), curve (_report), compare, show, frames
    decisions    gate (_report) and its baseline, fit

`formats` is how every report writes figures and tables.
"""
