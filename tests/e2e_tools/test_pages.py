"""The pages of the stories: each has its test, and what they show is compared with care."""

from __future__ import annotations

from pathlib import Path

from e2e import page

TESTS = Path(page.__file__).resolve().parent


def test_every_page_has_its_test_and_its_line_in_the_index() -> None:
    """Neither can be forgotten: numbers and names agree."""
    pages = sorted(path.stem for path in page.FOLDER.glob("[0-9][0-9]-*.md"))
    tests = sorted(path.stem for path in TESTS.glob("test_story_*.py"))
    assert tests == [f"test_story_{name.replace('-', '_')}" for name in pages]
    index = (page.FOLDER / "README.md").read_text()
    for name, test in zip(pages, tests, strict=True):
        assert f"]({name}.md)" in index
        text = (page.FOLDER / f"{name}.md").read_text()
        assert f"`e2e/{test}.py`" in text
        assert f'"{name}.md"' in (TESTS / f"{test}.py").read_text()


def test_times_and_widths_do_not_count_but_words_and_numbers_do() -> None:
    """What a user would notice is noticed."""
    shown = " gang   waits\n──────────────\n a      1m3s\n b      12s\n"
    same = " gang                waits\n────────\n\n b                   4s\n a   59s\n"

    def plain(text: str, *, exact: bool = True) -> list[list[str]]:
        return page.plain(text, exact=exact)

    assert plain(shown) == plain(same)
    assert plain("3 of 4 fit in 1.5 s") == plain("3 of 4 fit in 12.0 s")
    assert plain("3 of 4 fit") != plain("2 of 4 fit")
    assert plain("monday.json 1,234", exact=False) == plain("monday.json 99", exact=False)
    assert plain("monday.json 1,234", exact=False) != plain("sunday.json 1,234", exact=False)
