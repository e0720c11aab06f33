"""Reads result files only: recorded generations of lm-eval and of others; never a model.

    reading      files, runs, setups, samples
    reports      leaderboard (_text, _html, page/), curve (_report), compare, show, frames, dispute
    decisions    gate and its baseline, fit

`statistics` is behind all figures; `formats` is how every report writes figures and tables.
"""
