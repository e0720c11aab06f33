"""A sample in the page: its formulas, its candidates, and the tree of a search."""

from __future__ import annotations

import pytest
from results_helpers import page_of, sample, searched, write_run

pytestmark = pytest.mark.slow

TYPESET = (
    r"$x^2$ \(\frac{a}{b}\) $$\boxed{7}$$ \[\begin{aligned}a&=b\\[2pt]&=c\end{aligned}\]"
    r" \begin{align*}a&=b\end{align*} 价格$y_1$是"
)
REFUSED = (
    r"$\href{javascript:document.title='owned'}{x}$",
    r"$\includegraphics{https://example.org/x.png}$ \(\htmlStyle{position:fixed}{x}\)",
    r"$\def\a{\a\a}\a$ $\newcommand{\b}{" + "x" * 900 + "}" + r"\b" * 200 + "$",
    "$" + r"\boxed{" * 200 + "x" + "}" * 200 + "$",
    "$" + "{" * 5000 + "x" + "}" * 5000 + "$",
    r"$\nosuchthing$ $\frac{1}$",
)
AS_TEXT = (
    "$5 and $6, US$7 (NZ$8), $9-$10, **$5** or **$6**, a $5 bill and not a 10$",
    "unclosed $x + \\( y + \\[ z" + " $$" * 1001 + "\\begin{align} " * 1000,
    "echo $HOME/$USER `${a}` + `${b}`",
)


def open_samples(path, opened, hash="#samples/0"):
    page = opened(path, hash=hash)
    page.locator(".sample > button").first.wait_for()
    return page


def test_formulas_are_typeset_and_what_is_none_or_cannot_be_stays_as_written(tmp_path, opened):
    texts = [TYPESET, *REFUSED, *AS_TEXT]
    rows = [
        sample(i, doc={"question": "?", "answer": r"\frac12"}, resps=[[text]])
        for i, text in enumerate(texts)
    ]
    write_run(tmp_path, rows)
    page = open_samples(page_of(tmp_path, tmp_path / "board.html"), opened)
    for number, text in enumerate(texts):
        page.keyboard.press("j")
        body = page.locator(".sample .body").nth(number)
        response = body.locator("pre.text").last
        response.scroll_into_view_if_needed()
        body.locator("math").first.wait_for()  # the reference, though without delimiters
        if number:
            assert response.locator("math").count() == 0
            assert response.text_content() == text
        else:
            response.locator("math").nth(5).wait_for()
            assert response.locator("mfrac").count() == 1
            assert "\\" not in response.inner_text()
    assert page.locator("#samples a[href^=javascript], #samples img").count() == 0
    assert page.title() == "Leaderboard"
    page.keyboard.press("f")
    page.locator("#raw[aria-pressed=true]").wait_for()
    again = open_samples(tmp_path / "board.html", opened, page.evaluate("location.hash"))
    again.locator(".sample > button").first.click()
    response = again.locator(".sample").first.locator(".body pre.text").last
    response.wait_for()
    assert response.inner_text() == TYPESET
    again.get_by_role("button", name="formulas as written").click()
    response.locator("math").nth(5).wait_for()


def test_a_page_without_formulas_has_no_library_for_them(tmp_path, opened):
    write_run(tmp_path, [sample(0, resps=[["It costs $5 and not $6."]])])
    path = page_of(tmp_path, tmp_path / "board.html")
    assert path.stat().st_size < 100_000
    assert open_samples(path, opened).locator("#raw").count() == 0


def test_markdown_is_styled_and_its_signs_stay(tmp_path, opened):
    text = "# Plan\n**Add** *both*:\n```python\n2 ** 3 # **no**\n```\n`a*b` 2*3*4 ** * #1 **\n"
    texts = [text + "**a" * 9000, "**So $x$**"]
    write_run(tmp_path, [sample(i, resps=[[text]]) for i, text in enumerate(texts)])
    page = open_samples(page_of(tmp_path, tmp_path / "board.html"), opened)
    page.keyboard.press("j")
    response = page.locator(".sample .body").nth(0).locator("pre.text").last
    assert response.text_content() == texts[0]
    for tag, styled in {
        "strong.heading": ["# Plan"],
        "em": ["*both*"],
        "code": ["```python\n2 ** 3 # **no**\n```", "`a*b`"],
    }.items():
        assert response.locator(tag).all_text_contents() == styled
    assert response.locator("strong.strong").first.text_content() == "**Add**"
    page.keyboard.press("j")
    page.locator(".sample .body").nth(1).locator("strong math").wait_for()


def test_two_candidates_stand_side_by_side_and_a_search_is_a_tree(tmp_path, opened):
    write_run(tmp_path, [searched(0)])
    page = open_samples(page_of(tmp_path, tmp_path / "board.html"), opened)
    page.keyboard.press("j")
    tree = page.locator(".tree")
    tree.locator(".formula").first.scroll_into_view_if_needed()  # the chosen path is open
    tree.locator("math").first.wait_for()
    shown = [" ".join(text.split()) for text in tree.locator("summary").all_inner_texts()]
    assert shown == ["0.25 dropped Add.", "0.75 chosen", "– complete It is $3$.", "0.875 chosen"]
    tree.locator("summary").first.press("Enter")
    assert tree.locator("pre").first.inner_text().strip() == "Add."
    assert tree.locator(".step .step").count() == 2
    for number in (1, 2):
        page.get_by_label(f"read candidate {number}").press("Space")
    beside = page.locator(".beside")
    assert beside.locator("h2").all_inner_texts() == ["CANDIDATE 1 ✗", "CANDIDATE 2 ✓"]
    page.keyboard.press("f")
    page.get_by_text("Count $x^2$.").first.wait_for()
    assert beside.locator("pre > .soft").all_text_contents() == ["Count $x^2$.\n\nIt is "] * 2
    page.get_by_label("read candidate 1").press("Space")
    assert beside.locator("h2").all_inner_texts() == ["CANDIDATE 2 ✓"]
