"""Reads result files only: recorded generations of lm-eval and of others; never a model.

    reading      files, runs, samples
    reports      leaderboard and curve (_report, page/), compare, show, frames, dispute
    decisions    gate and its baseline, fit

`statistics` is behind all figures; `formats` is how every report writes figures and tables.
"""
