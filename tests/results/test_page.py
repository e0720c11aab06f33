"""The leaderboard page in a real browser: no errors, sorting, filtering, hostile samples, size."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from results_helpers import page_of, sample, scored, searched, write_run

from lm_eval_tts.results.leaderboard import build_leaderboard
from lm_eval_tts.results.leaderboard_report import page_parts
from lm_eval_tts.results.runs import load_runs

pytestmark = pytest.mark.slow
LOOKS = [(width, scheme) for width in (390, 820, 1440) for scheme in ("light", "dark")]
HOSTILE = (
    "<script>document.title='owned'</script></script><!--",
    "<img src=x onerror=\"document.title='owned'\">",
    "</pre></details><iframe srcdoc='<script>parent.document.title=1</script>'>",
    "{{samples}} ${1} \\u003c \ud83d\ude00 \u2028 \x00",
)


def write_checkpoints(folder: Path, number: int) -> None:
    """Runs of so many checkpoints, one of them right in all and the next in half of its samples."""
    for i in range(number):
        rows_of = [sample(0, total_tokens=float(i + 1)), sample(1, exact_match=i % 2)]
        write_run(folder / str(i), rows_of, model_args={"pretrained": f"org/model-{i}"})


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
            rows[0] = searched(0, **{name: rows[0][name] for name in rows[0]["metrics"]})
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
    assert page.locator("svg .dot").count() == 3
    assert "1 without such tokens is not drawn" in page.locator("#plot").inner_text()
    page.locator("#filter").fill("ORG/C")
    assert rows(page) == ["org/c"]
    assert page.locator("svg .dot").count() == 1
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


@pytest.mark.parametrize("width", [820, 1440])
def test_a_table_wider_than_the_screen_shows_that_it_scrolls(tmp_path, opened, width):
    more = dict.fromkeys(("sampled_tokens", "thinking_tokens", "format_strict", "truncated"), 1.0)
    more |= {"engine_calls": 1.0, "pass@4": 1.0, "maj@4": 0.5}
    write_run(tmp_path, [sample(i, **more) for i in range(4)], kwargs={"max_gen_toks": 32768})
    page = opened(page_of(tmp_path, tmp_path / "board.html"), width)
    page.get_by_label("all columns").check()
    table = page.locator("#table")
    table.scroll_into_view_if_needed()
    box, row = table.bounding_box(), table.locator("tbody tr").bounding_box()
    right = box["x"] + box["width"]
    edge = {"x": right - 12, "width": 10, "y": row["y"] + row["height"] - 6, "height": 4}
    shaded = page.screenshot(clip=edge)  # below the words of the row
    table.evaluate("table => table.scrollTo(table.scrollWidth, 0)")
    assert page.screenshot(clip=edge) != shaded
    assert table.locator("td").last.bounding_box()["x"] < right
    assert table.locator("td.checkpoint").bounding_box()["x"] == pytest.approx(box["x"], abs=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


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


def test_the_address_keeps_what_was_chosen_and_leads_to_a_sample(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    page.locator("th").get_by_role("button", name="tokens", exact=True).click()
    page.locator("#filter").fill("org")
    again = opened(board, hash=page.evaluate("location.hash"))
    assert rows(again) == ["org/b", "org/a", "org/c"]
    again.get_by_role("link", name="org/a").click()
    again.get_by_role("button", name="wrong 30").click()
    again.get_by_label("find samples").fill("q35")
    again.locator(".sample > button").click()
    link = again.get_by_title("a link to this sample").get_attribute("href")
    sample_page = opened(board, hash=again.evaluate("location.hash"))
    sample_page.get_by_text("1–1 of 1").first.wait_for()
    one = opened(board, hash=link)
    one.locator(".sample[data-id=q35] .body").get_by_text("Reference").wait_for()
    again.get_by_role("link", name="‹ leaderboard").click()
    assert rows(again) == ["org/b", "org/a", "org/c"]


def test_two_runs_are_read_side_by_side(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    page.get_by_role("link", name="org/a").click()  # 30 right
    page.locator("#other").select_option(label="org/b · cot · single")  # 20 right
    page.get_by_role("button", name="A right, B wrong 10").click()
    assert page.get_by_role("button", name="A wrong, B right").count() == 0
    page.locator(".sample[data-id=q25] > button").click()
    body = page.locator(".sample[data-id=q25] .body")
    body.get_by_role("heading", name="B: org/b").wait_for()
    assert body.get_by_text("Answer that was graded: ✓ right").count() == 1
    assert body.get_by_text("Answer that was graded: ✗ wrong").count() == 1


def test_the_keyboard_alone_reads_samples(board, opened):
    page = opened(board)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name="org/c").focus()
    page.keyboard.press("Enter")
    page.locator(".sample").first.wait_for()
    for key, number in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.locator(".sample > button[aria-expanded=true]").count() == 1
        opened_one = page.locator(".sample").nth(number).locator("button").first
        assert opened_one.get_attribute("aria-expanded") == "true"


def test_the_keyboard_passes_a_hundred_rows_and_finds_its_way_back(tmp_path, opened):
    write_checkpoints(tmp_path, 100)
    page = opened(page_of(tmp_path, tmp_path / "board.html"))
    focused = "document.activeElement.closest('tr')?.id || document.activeElement.id"

    def press(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return page.evaluate(focused)

    assert press("j", "j") == page.locator("#table tbody tr").nth(1).get_attribute("id")
    page.reload()
    stops = iter(lambda: press("Tab"), "filter")
    assert len(list(stops)) < 10  # the points of the picture are one
    page.locator("#filter").fill("model-1")
    assert page.evaluate(focused) == "filter"
    page.locator("#by-total_tokens").press("Enter")
    assert page.evaluate(focused) == "by-total_tokens"  # drawn anew
    links = [row.get_attribute("id") for row in page.locator("#table tbody tr").all()]
    page.locator("#by-n").focus()
    assert press("Tab") == links[0]
    assert press("ArrowDown", "j", "ArrowUp") == links[1]
    assert press("End") == links[-1]
    assert press("k") == links[-2]
    assert press("Tab") not in links  # the links are one stop
    assert press("Shift+Tab") == links[-2]
    page.keyboard.press("Enter")
    page.locator(".sample").first.wait_for()
    assert page.evaluate(focused) == "main"
    page.go_back()
    page.locator("#table").wait_for()
    assert page.evaluate(focused) == links[-2]
    page.locator("svg .dot").first.press("End")
    assert page.evaluate("document.activeElement.matches('.dot')")
    assert press("Enter") in links


def test_a_link_to_a_sample_shows_it_and_stays_in_the_address(board, opened):
    page = opened(board, hash="#samples/0/q35")
    item = page.locator(".sample[data-id=q35]")
    item.locator(".body pre.text").first.wait_for()
    assert item.bounding_box()["y"] < page.viewport_size["height"]
    assert page.evaluate("location.hash") == "#samples/0/q35"
    page.keyboard.press("j")
    assert page.evaluate("location.hash") == "#samples/0/q36"
    page = opened(board, hash="#samples/0/nobody")
    page.get_by_text("nobody is not among them").first.wait_for()


def test_j_goes_on_to_the_next_page(tmp_path, opened):
    write_run(tmp_path, scored([1] * 60))
    page = opened(page_of(tmp_path, tmp_path / "board.html"), hash="#samples/0/q49")
    page.locator(".sample[data-id=q49] .body pre.text").first.wait_for()
    page.keyboard.press("j")
    page.locator(".sample[data-id=q50] > button[aria-expanded=true]:focus").wait_for()
    page.keyboard.press("k")
    page.locator(".sample[data-id=q49] > button[aria-expanded=true]").wait_for()


def test_what_a_filter_leaves_keeps_its_colour(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    spans = "[...document.querySelectorAll('.legend span')]"
    colours = f"{spans}.map(s => [s.textContent, s.firstChild.innerHTML])"
    every = dict(page.evaluate(colours))
    page.locator("input[type=search]").fill("org/b")
    page.wait_for_function("document.querySelectorAll('.legend span').length === 1")
    assert dict(page.evaluate(colours)).items() <= every.items()


def test_a_hundred_checkpoints_have_a_legend_and_no_two_look_the_same(tmp_path, opened):
    write_checkpoints(tmp_path, 100)
    page = opened(page_of(tmp_path, tmp_path / "board.html"))
    legend = page.locator(".legend")
    marks = [mark.evaluate("m => m.outerHTML") for mark in legend.locator("path").all()]
    assert len(set(marks)) == len(legend.locator("span").all()) == 100
    of_points = "dots => dots.map(dot => dot.getAttribute('fill') + dot.getAttribute('d'))"
    assert len(set(page.locator("svg .dot").evaluate_all(of_points))) == 100
    assert legend.bounding_box()["height"] < 200
    scrolls = "box => [box.scrollHeight > box.clientHeight, box.tabIndex]"
    assert legend.evaluate(scrolls) == [True, 0]


@pytest.mark.parametrize("width", [390, 820])
def test_a_list_of_samples_is_no_wider_than_the_screen(board, opened, width):
    page = opened(board, hash="#samples/0")
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("#other").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_front_is_that_of_what_is_shown(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    page.locator("select[aria-label='cost on the x axis']").wait_for()
    before = page.locator("path.front").get_attribute("d")
    page.locator("#filter").fill("org/c")
    assert page.locator("path.front").get_attribute("d") != before


def test_the_heads_are_explained_and_stay_in_sight(board, opened):
    page = opened(board)
    page.get_by_role("button", name="toy", exact=True).click()
    head = page.locator("th").get_by_role("button", name="loops", exact=True)
    assert head.get_attribute("title") == "share that repeats itself to the end"
    page.get_by_text("what the columns mean").click()
    assert page.locator("dl").get_by_text("share that repeats itself to the end").is_visible()
    style = "getComputedStyle(document.querySelector('#table thead th')).position"
    assert page.evaluate(style) == "sticky"


def test_what_k_samples_score_has_its_columns(tmp_path, opened):
    more = {"pass@1": 0.5, "pass@4": 1.0, "maj@4": 0.75, "bon@4": 0.25}
    write_run(tmp_path / "a", [sample(i, **more) for i in range(4)])
    write_run(tmp_path / "b", [sample(i) for i in range(4)], model_args={"pretrained": "b"})
    page = opened(page_of(tmp_path, tmp_path / "board.html"))
    shown = [head.strip(" ▲▼") for head in page.locator("th").all_inner_texts()]
    assert [name for name in shown if "@" in name] == ["pass@4", "maj@4"]
    page.get_by_label("all columns").check()
    assert page.locator("td[data-head='bon@4']").all_inner_texts() in (
        ["25.0%", "–"],
        ["–", "25.0%"],
    )


def test_answers_on_the_way_and_candidates_are_in_tables(tmp_path, opened):
    candidates = [
        {"text": "It is 2.", "answer": "2", "class": 0, "correct": True, "scores": {"reward": 0.5}},
        {"text": "<b>3</b>", "answer": "3", "class": 1, "correct": False, "scores": {}},
        {"text": "two", "answer": "2", "class": 0, "correct": True, "scores": {"reward": 0.25}},
    ]
    text = "<think>I add.Wait</think>It is 2."
    answered = {
        "pieces": [["forced", 7], ["thinking", 6], ["wait", 4], ["tag", 8], ["answer", 8]],
        "points": {"64": "1"},
        "candidates": candidates,
    }
    figures = {"exact_match@64": 0.0, "sampled_tokens@64": 70.0}
    row = sample(0, resps=[[text]], answered=answered, **figures)
    row["metrics"].remove("answered")
    write_run(tmp_path, [row])
    page = opened(page_of(tmp_path, tmp_path / "board.html"))
    page.locator("tbody tr").first.click()
    page.locator(".sample > button").click()
    page.locator("table.grid").nth(1).wait_for()  # a sample's texts are unpacked when it is opened
    points, votes = page.locator("table.grid").all()
    assert points.locator("tbody tr").inner_text().split() == ["64", "1", "✗", "70", "–"]
    assert votes.locator("td[data-head=votes]").all_inner_texts() == ["2", "1", "2"]
    assert votes.locator("td[data-head=reward]").all_inner_texts() == ["0.5", "–", "0.25"]
    page.get_by_text("thinking, 25 characters").click()
    assert page.locator(".phase-wait").inner_text() == "Wait"
    assert page.locator("pre", has=page.locator(".phase-wait")).inner_text() == text[:25]


def test_no_width_or_scheme_has_an_accessibility_violation(board, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not there")
    page = opened(board, LOOKS[0][0], scheme=LOOKS[0][1])

    def check() -> None:
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 850})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            result = axe.Axe().run(page)
            assert not result.response["violations"], result.generate_report()

    check()
    page.get_by_role("button", name="toy", exact=True).click()
    page.get_by_role("link", name="org/a").click()
    page.locator(".sample > button").first.click()
    page.locator(".tree .formula").first.scroll_into_view_if_needed()
    page.locator(".tree math").first.wait_for()
    for number in (1, 2):
        page.get_by_label(f"read candidate {number}").check()
    check()


def test_two_hundred_rows_are_one_file_below_a_megabyte(tmp_path, opened):
    write_checkpoints(tmp_path, 200)
    loaded = load_runs([tmp_path])
    path = tmp_path / "board.html"
    with path.open("w", encoding="utf-8") as out:
        out.writelines(page_parts(build_leaderboard(loaded.runs), samples=False))
    assert path.stat().st_size < 1_000_000
    page = opened(path)
    assert len(rows(page)) == 200
    page.locator("#filter").fill("model-19")
    assert len(rows(page)) == 11
    boxes = [text.bounding_box() for text in page.locator("svg text.name").all()]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a["x"] > b["x"] + b["width"] or b["x"] > a["x"] + a["width"]
            assert apart or abs(a["y"] - b["y"]) >= min(a["height"], b["height"]) - 4


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
    page.locator(".sample .body").last.locator("summary").first.wait_for()
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
