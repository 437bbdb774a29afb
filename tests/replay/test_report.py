"""The page: one file, every section with its figure, nothing of the machine it was made on."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scheduler.errors import NotFoundError
from scheduler.model.names import plural
from scheduler.replay import report
from scheduler.replay.metrics import analyse
from scheduler.replay.picture import placed_gang_picture
from scheduler.replay.report import duration, number, percent, render_report
from scheduler.replay.result import RunResult
from scheduler.replay.theme import SERIES, themed
from tests.replay.toy_run import Ask, ask, first_fit, toy_trace

SECTIONS = (
    "allocation waiting slots domains fragmentation heat blocked slowdown times locality about"
).split()
SECOND = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"


def a_run(**changes: object) -> RunResult:
    """Gangs of several sizes that wait for each other on two spines."""
    labels = [(f"s{at // 4}", f"l{at // 2}") for at in range(8)]
    asks = [ask(at * SECOND, (9 + at) * SECOND, 1 + at % 5, 4 + 4 * (at % 2)) for at in range(12)]
    return first_fit(toy_trace(labels, asks, **changes))  # type: ignore[arg-type]


class Page(HTMLParser):
    """Ids, tags that were opened and not closed, and everything that would be fetched."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and references."""
        self._note(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        assert tag
        self._note(attrs)

    def _note(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "xlink:href"}:
                self.fetched.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        """Elements close in the order in which they were opened."""
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text() -> str:
    """The page of one run."""
    return render_report(analyse(a_run()))


def test_every_section_is_there_under_its_id(text: str) -> None:
    """Links to a figure stay good; no id stands twice."""
    page = Page(text)
    assert page.open == []
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_fetches_nothing(text: str) -> None:
    """It opens offline: every reference is into the page or to data inside it."""
    references = Page(text).fetched
    assert references
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in references)
    assert not re.search(r"@import|url\((?!#)", text)


def test_references_inside_figures_lead_somewhere(text: str) -> None:
    """Clip paths and markers are found although ids were renamed for the page."""
    page = Page(text)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    assert used
    assert used <= set(page.ids)


def test_figures_take_their_colours_from_the_page(text: str) -> None:
    """No marker colour is left, and every variable that is used is defined for both themes."""
    assert not [marker for marker in (*SERIES, "#010203", "#020304") if marker in text]
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    light = set(re.findall(r"^\s*(--[\w-]+):", text.split("@media", maxsplit=1)[0], re.MULTILINE))
    dark = text[text.index(':root[data-theme="dark"]') :].split("}", maxsplit=1)[0]
    assert used <= light
    assert {"--ink", "--grid", "--c1", "--surface"} <= used
    assert {one for one in used if one not in {"--font", "--mono"}} <= set(
        re.findall(r"^\s*(--[\w-]+):", dark, re.MULTILINE)
    )


def test_both_ways_into_the_dark_agree(text: str) -> None:
    """The reader's preference and the override set the same colours."""
    blocks = re.findall(r":root(?::not)?\(?\[data-theme=[^{]*\{([^}]*)\}", text)
    assert len(blocks) == 2
    assert len({re.sub(r"\s+", " ", block.strip()) for block in blocks}) == 1


def test_nothing_of_the_machine_is_on_the_page(text: str, tmp_path: Path) -> None:
    """No path, host, date or version of a tool."""
    assert str(Path.cwd()) not in text
    assert str(tmp_path.parent) not in text
    assert "matplotlib" not in text.lower()
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_headline_numbers_are_those_of_the_summary(text: str) -> None:
    """Tiles and sentences repeat summary.json; they do not compute."""
    summary = analyse(a_run()).summary
    assert percent(summary["gpu_allocation"]["mean"]) in text
    assert duration(summary["wait_s"]["mean"]) in text
    leaf = summary["locality"]["leaf"]
    assert f"ideal {number(leaf['mean_ideal'], 3)}" in text


def test_names_from_a_trace_are_escaped() -> None:
    """A name is text, whatever it looks like."""
    labels = [("<b>s", "l&1"), ("<b>s", "l&2")]
    asks = [ask(0, 1000, 2), ask(1, 10, 1)]
    options = {"placement": "<script>alert(1)</script>"}
    text = render_report(analyse(first_fit(toy_trace(labels, asks), options=options)))
    assert "<script" not in text
    assert "<b>" not in text
    Page(text)


@pytest.mark.parametrize(
    ("labels", "levels", "asks", "missing"),
    [
        ([()] * 3, (), [ask(0, 50, 2)], {"heat", "domains", "locality", "blocked"}),
        ([("a",)] * 3, ("leaf",), [], {"waiting", "heat", "domains", "blocked"}),
        ([("a",)] * 3, ("leaf",), [ask(0, 50, 1)], {"domains", "blocked"}),
        ([("a",)] * 3, ("leaf",), [ask(0, 50, 9)], {"waiting", "domains", "blocked"}),
        ([("a", "b", "c")] * 3, ("dc", "spine", "leaf"), [ask(0, 50, 2)], {"blocked"}),
    ],
)
def test_a_figure_without_data_is_left_out(
    labels: list[tuple[str, ...]], levels: tuple[str, ...], asks: list[Ask], missing: set[str]
) -> None:
    """No empty plots: without levels, gangs or waits the section is not there."""
    page = Page(render_report(analyse(first_fit(toy_trace(labels, asks, levels)))))
    assert missing.isdisjoint(page.ids)
    assert {"allocation", "fragmentation", "slowdown", "times"} <= set(page.ids)


def test_a_cluster_of_more_domains_than_rows_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heat map stays small: neighbours share a row, and the title says how many."""
    monkeypatch.setattr(report, "_HEAT_ROWS", 3)
    text = render_report(analyse(a_run()))
    assert "4 leaves, 2 a row" in text
    assert "2 spines<" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2013"), (0.0, "0 s"), (12.34, "12.3 s"), (59.9, "59.9 s"), (60.0, "1 min 0 s"),
        (3_599.6, "1 h 0 min"), (13_885.6, "3 h 51 min"), (86_400.0, "1 d 0 h"),
        (2_584_262.0, "29 d 21 h"),
    ],
)  # fmt: skip
def test_durations_read_in_two_units(seconds: float | None, text: str) -> None:
    """The two largest units that matter, and a dash for nothing."""
    assert duration(seconds) == text


def test_small_words() -> None:
    """Shares, numbers and plurals as the page writes them."""
    assert percent(0.1234) == "12.3\u2009%"
    assert number(1_234_567) == "1\u202f234\u202f567"
    assert number(1.763, 3) == "1.763"
    assert (plural("leaf"), plural("spine")) == ("leaves", "spines")


def test_theming_renames_only_ids_that_are_used() -> None:
    """Two figures on one page must not share a clip path; unused ids go."""
    raw = (
        '<?xml version="1.0"?><svg viewBox="0 0 1 1"><!-- x --><g id="gone"><path id="p1" '
        'style="fill: #010203"/><use xlink:href="#p1"/></g></svg>\n'
    )
    assert themed(raw, "fig", "A title") == (
        '<svg id="fig" viewBox="0 0 1 1" role="img" aria-label="A title" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
        '<g><path id="fig-p1" style="fill: var(--ink)"/><use xlink:href="#fig-p1"/></g></svg>'
    )


def test_the_picture_of_a_gang_shows_every_node_and_its_ranks(tmp_path: Path) -> None:
    """A cell per node, ranks in place, other gangs' nodes marked; valid SVG with both themes."""
    labels = [("s1", "a"), ("s1", "a"), ("s1", "b"), ("s2", "a"), ("", "")]
    result = first_fit(toy_trace(labels, [ask(0, 50, 1), ask(0, 50, 3, gpu=8)]))
    placed_gang_picture(result, 1, tmp_path / "gang.svg")
    text = (tmp_path / "gang.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    ranks = [node.text for node in root.iter(f"{SVG}text") if "rank" in node.get("class", "")]
    kinds = [rect.get("class") for rect in root.iter(f"{SVG}rect")]
    assert ranks == ["0", "1", "2"]
    assert kinds.count("node busy") == 1
    assert kinds.count("node gang") == 3
    assert kinds.count("node") == 3 + 1  # below the three, and the free one
    assert "prefers-color-scheme: dark" in text
    placed_gang_picture(result, 1, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text


def test_the_picture_of_a_gang_that_never_ran_is_refused(tmp_path: Path) -> None:
    """There is nothing to draw."""
    result = first_fit(toy_trace([("s", "l")], [ask(0, 50, 2)]))
    with pytest.raises(NotFoundError, match="was not placed"):
        placed_gang_picture(result, 0, tmp_path / "gang.svg")
