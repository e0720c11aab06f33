"""Draws the pictures of the documentation from finished runs.

    lm_eval --model tts-hf --tasks arith_budget --output_path results/demo --log_samples
    python scripts/compare_checkpoints.py
    python scripts/pictures.py results/demo --also results/checkpoints

docs/curve.png is `lm-eval-tts curve` of the first, docs/leaderboard.png the page of all in Chromium
(apt-get install chromium, pip install playwright).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from lm_eval_tts.cli import main as lm_eval_tts

DOCS = Path(__file__).resolve().parents[1] / "docs"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--force-color-profile=srgb",
]


def screenshot(page: Path, picture: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        tab.goto(page.as_uri())
        tab.locator("#table tbody tr").first.wait_for()
        tab.screenshot(path=str(picture))
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="*", default=["results"])
    parser.add_argument("--also", nargs="*", default=[], help="results for the page alone")
    parser.add_argument("--output", type=Path, default=DOCS)
    args = parser.parse_args()
    if code := lm_eval_tts(["curve", *args.results, "-o", str(args.output / "curve.png")]):
        raise SystemExit(code)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "board.html"
        title = "Test-time scaling of the tiny reasoner"
        lm_eval_tts(["leaderboard", *args.results, *args.also, "-o", str(page), "--title", title])
        screenshot(page, args.output / "leaderboard.png")


if __name__ == "__main__":
    main()
