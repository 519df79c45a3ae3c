"""No text becomes markup."""

from markupsafe import Markup

from apograph.report.markup import element, join, safe


def test_text_and_attributes_are_escaped() -> None:
    assert element("p", "<b>", title='"><x', hidden=True, lang=None) == (
        '<p title="&#34;&gt;&lt;x" hidden>&lt;b&gt;</p>'
    )
    assert safe("\x1b&") == "\\x1b&amp;"


def test_markup_made_here_stays() -> None:
    assert element("p", element("b", 1), None, " & ") == "<p><b>1</b> &amp; </p>"
    assert isinstance(join("<"), Markup)


def test_void_elements_and_numbers() -> None:
    assert element("rect", x=0, y=1.25, width=3.0, class_="a", text_anchor="end") == (
        '<rect x="0" y="1.25" width="3" class="a" text-anchor="end"/>'
    )
