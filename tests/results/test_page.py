"""The leaderboard page in a real browser: no errors, sorting, filtering, hostile samples, size."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from results_helpers import sample, write_run

from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_html import write_html
from lm_eval_tts.results.runs import load_runs

pytestmark = pytest.mark.slow
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
HOSTILE = (
    "<script>document.title='owned'</script></script><!--",
    "<img src=x onerror=\"document.title='owned'\">",
    "</pre></details><iframe srcdoc='<script>parent.document.title=1</script>'>",
    "{{samples}} ${1} \\u003c \ud83d\ude00 \u2028 \x00",
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """A function that opens a page at a size; the test fails if it logs or asks for anything."""
    said: list[str] = []
    pages = []

    def open_page(path: Path, width: int = 1280, height: int = 850):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not said


def page_of(results: Path, to: Path) -> Path:
    loaded = load_runs([results])
    with to.open("w", encoding="utf-8") as out:
        write_html(build_leaderboard(loaded.runs, loaded.unread), out)
    return to


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three checkpoints on two benchmarks, and one stock run without tokens."""
    folder = tmp_path_factory.mktemp("board")
    for day, (name, tokens, right) in enumerate([("a", 90, 30), ("b", 40, 20), ("c", 300, 45)], 1):
        for task in ("toy_cot", "hard_cot"):
            rows = [
                sample(i, exact_match=float(i < right), total_tokens=float(tokens), loop=i % 2)
                for i in range(60)
            ]
            arguments = {"pretrained": f"org/{name}"}
            write_run(folder / f"{name}{task}", rows, task, day=day, model_args=arguments)
    stock = [{**sample(i), "metrics": ["exact_match"]} for i in range(60)]
    write_run(folder / "stock", stock, "toy_cot", model="hf", model_args={"pretrained": "stock"})
    return page_of(folder, folder / "board.html")


def rows(page) -> list[str]:
    return [
        text.split("\n")[0] for text in page.locator("td[data-head=checkpoint]").all_inner_texts()
    ]


def test_the_table_sorts_and_filters_and_the_plot_shows_the_front(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    assert rows(page)[0] == "stock"
    page.locator("th").get_by_role("button", name="tokens", exact=True).click()
    assert rows(page) == ["org/b", "org/a", "org/c", "stock"]
    page.locator("th").get_by_role("button", name="tokens", exact=True).click()
    assert rows(page) == ["org/c", "org/a", "org/b", "stock"]  # what is missing stays last
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("tokens")
    assert page.locator("svg circle.dot").count() == 3
    assert "1 without such tokens is not drawn" in page.locator("#plot").inner_text()
    page.locator("#filter").fill("ORG/C")
    assert rows(page) == ["org/c"]
    assert page.locator("svg circle.dot").count() == 1
    page.locator("#filter").fill("")
    page.get_by_role("button", name="all", exact=True).click()
    assert [h.strip(" ▼") for h in page.locator("th").all_inner_texts()[2:]] == ["hard", "toy"]
    assert page.locator("#plot").is_hidden()


def test_a_phone_shows_cards_without_scrolling_sideways(board, opened):
    page = opened(board, 390, 844)
    page.get_by_role("button", name="toy", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#sort").select_option("total_tokens")
    assert rows(page)[0] == "org/b"
    page.get_by_role("link", name="org/b").click()
    page.locator(".sample > button").first.click()
    page.get_by_text("Answer that was graded").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_samples_can_be_read_and_the_way_back_is_the_browsers(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    page.get_by_role("link", name="org/a").click()
    page.get_by_role("button", name="wrong 30").click()
    assert page.locator(".where").first.inner_text() == "1–30 of 30"
    page.get_by_label("find samples").fill("q35")
    page.locator(".sample > button").click()
    body = page.locator(".sample .body")
    body.get_by_text("Reference").wait_for()
    assert "It is 2." in body.inner_text()
    assert "I add." not in body.inner_text()  # folded
    body.get_by_text("thinking, 21 characters").click()
    body.get_by_text("<think>I add.</think>").wait_for()
    page.get_by_label("find samples").fill("i add.")  # in the response, of which the list has none
    page.get_by_text("1–30 of 30").first.wait_for()
    page.get_by_label("find samples").fill("I subtract.")
    page.get_by_text("none", exact=True).first.wait_for()
    page.go_back()
    page.get_by_text("Accuracy against tokens").wait_for()


def test_hostile_text_is_shown_and_never_run(tmp_path, opened):
    hostile = [
        sample(
            i,
            doc={"id": text, "question": text},
            resps=[[f"<think>{text}</think>{text}"]],
            filtered_resps=[[text]],
        )
        for i, text in enumerate(HOSTILE)
    ]
    write_run(tmp_path, hostile, model_args={"pretrained": HOSTILE[0]})
    page = opened(page_of(tmp_path, tmp_path / "board.html"))
    page.locator("tbody tr").first.click()
    page.locator(".sample > button").first.wait_for()
    for button in page.locator(".sample > button").all():
        button.click()
    for summary in page.locator(".sample summary").all():
        summary.click()
    page.wait_for_timeout(300)
    shown = page.locator(".sample pre").all_text_contents()
    for text in HOSTILE[:3]:
        assert f"<think>{text}</think>" in shown
        assert text in shown
    assert page.title() == "Leaderboard"
    assert page.locator("#samples img, #samples iframe, #samples script").count() == 0


def test_twenty_thousand_samples_do_not_freeze_the_page(tmp_path, opened):
    long = "Let me see. " * 150
    samples = [
        sample(i, exact_match=float(i % 3 == 0), resps=[[f"<think>{long}</think>{i}"]])
        for i in range(20_000)
    ]
    write_run(tmp_path, samples)
    path = page_of(tmp_path, tmp_path / "board.html")
    started = time.perf_counter()
    page = opened(path)
    page.locator("tbody tr").first.click()
    page.get_by_text("1–50 of 20,000").first.wait_for()
    page.get_by_role("button", name="wrong 13,333").click()
    page.get_by_label("find samples").fill("q19999")
    page.locator(".sample > button").click()
    page.get_by_text("Answer that was graded").wait_for()
    assert page.locator(".sample").count() == 1
    assert time.perf_counter() - started < 30  # a browser that froze, not a slow machine
    assert page.locator("*").count() < 3_000  # what is not looked at is not in the document
