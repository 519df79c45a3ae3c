"""The page: one file that nothing can break out of, whose bytes follow from the saved report alone."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from apograph.findings import Exhibit, Message
from apograph.report.html import LARGEST, render
from apograph.report.json_format import dumps, loads
from tests.report.sample import report

TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "section", "article"),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
        "b",
        "strong",
        "span",
        "time",
        "code",
        "pre",
        "dl",
        "div",
        "dt",
        "dd",
    ),
    *("ul", "ol", "li", "table", "caption", "colgroup", "col", "thead", "wbr", "tbody", "tr", "th", "td"),
    *("figure", "figcaption", "details", "summary", "svg", "rect", "line", "circle", "text"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "class", "id", "aria-labelledby"),
    *("aria-label", "aria-hidden", "scope", "colspan", "tabindex", "role", "title", "value", "viewbox"),
    *(
        "preserveaspectratio",
        "width",
        "height",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "text-anchor",
    ),
}
VOID = {"meta", "link", "col", "rect", "line", "circle"}


class Page(HTMLParser):
    """Every element of a page with its attributes, and whether all were closed in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def hostile() -> bytes:
    return render(report(poisoned=True))


@pytest.mark.parametrize("poisoned", [False, True])
def test_only_elements_of_ours(poisoned: bool) -> None:
    page = Page(render(report(poisoned)))
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert page.open == []
    ids = page.attributes("id")
    assert len(set(ids)) == len(ids)
    links = [str(link) for link in page.attributes("href")]
    assert [link for link in links if not link.startswith("#")] == ["data:,"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert set(page.attributes("aria-labelledby")) <= set(ids)


def test_hostile_text_is_shown_not_obeyed(hostile: bytes) -> None:
    text = "".join(Page(hostile).text)
    assert "<script>alert(1)</script>" in text
    assert "\\x1b[2J\\x1b]8;;http://evil.example\\x07link" in text
    assert "\\u202egpj.exe\\u2066" in text
    assert "\\ud800lone\\udfff" in text
    assert "{{ 7 * 7 }}{% raw %}" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", text)


def test_names_in_the_title_are_made_visible() -> None:
    named = tuple(replace(release, ref="\x1b]0;\u202e") for release in report().releases)
    text = "".join(Page(render(replace(report(), releases=named))).text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "Apograph report: \\x1b]0;\\u202e / \\x1b]0;\\u202e" in text


def test_nothing_is_loaded_and_only_our_style_applies(hostile: bytes) -> None:
    page = Page(hostile)
    policy = next(str(a["content"]) for _, a in page.elements if "http-equiv" in a)
    style = re.search(rb"<style>(.*?)</style>", hostile, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(sha256(style[1]).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert b"url(" not in style[1]
    assert b"@import" not in style[1]


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_saved_report_gives_the_same_page(poisoned: bool) -> None:
    fresh = report(poisoned)
    assert render(loads(dumps(fresh))) == render(fresh)


def test_headings_descend_step_by_step() -> None:
    levels = [int(tag[1]) for tag, _ in Page(render(report())).elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("part", ["findings", "exhibits", "unexamined", "releases"])
def test_a_page_is_never_larger_than_it_may_be(part: str) -> None:
    large = report(poisoned=True, copies=1)
    if part == "findings":
        long = (Message("cli.error.usage", {"reason": "&" * 500}),) * 20
        fat = [replace(finding, alternatives=long) for finding in report(poisoned=True, copies=35).findings]
        large = replace(large, findings=tuple(fat))
    elif part == "exhibits":
        rows = [["&" * 300] * 12] * 200
        exhibit = Exhibit("table", {"columns": list("abcdefghijkl"), "rows": rows}, Message("cli.help"))
        finding = replace(large.findings[0], exhibits=(exhibit,) * 3)
        large = replace(large, findings=tuple(replace(finding, id=f"files.x:{n}") for n in range(4)))
    elif part == "unexamined":
        large = replace(large, unexamined=large.unexamined * 2000)
    else:
        large = replace(large, releases=large.releases * 1000)
    page = render(large)
    assert len(page) < LARGEST
    if part in ("findings", "exhibits"):
        assert b"no room on this page" in page
    else:
        assert b" more" in page


def test_an_empty_report_is_a_page() -> None:
    empty = replace(report(), findings=(), unexamined=(), releases=())
    assert "Nothing was found." in "".join(Page(render(empty)).text)


def test_what_bases_and_claimed_sources_explain() -> None:
    page = render(report()).decode()
    row = page[page.index('<table class="explained">') :]
    cells = re.findall(
        r'<td class="number">(?:<strong>)?(\d+)', row[: row.index("</tr>\n<tr>", row.index("<tbody>"))]
    )
    assert cells == ["11", "2", "3", "1"]


def test_the_strongest_finding_stands_first() -> None:
    weak, strong = (
        replace(
            report().findings[n],
            id=f"files.{n}",
            channel="files",
            message=Message("cli.error.usage", {"reason": r}),
        )
        for n, r in ((1, "weak"), (0, "strong"))
    )
    text = "".join(Page(render(replace(report(), findings=(weak, strong)))).text)
    assert text.index("strong (") < text.index("weak (")


def test_a_browser_shows_it_and_refuses_nothing(tmp_path: Path, hostile: bytes) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine: the page was not opened in a browser")
    (tmp_path / "page.html").write_bytes(hostile)
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --dump-dom"
    )
    done = subprocess.run(
        [
            browser,
            *flags.split(),
            f"--user-data-dir={tmp_path / 'profile'}",
            f"file://{tmp_path / 'page.html'}",
        ],
        capture_output=True,
        timeout=120,
    )
    assert b"CONSOLE" not in done.stderr
    dom = Page(re.sub(rb"^<!DOCTYPE html>", b"", done.stdout))
    assert {tag for tag, _ in dom.elements} <= TAGS
    assert not any(name.startswith("on") for _, attributes in dom.elements for name in attributes)
    assert len(dom.elements) == len(Page(hostile).elements)
