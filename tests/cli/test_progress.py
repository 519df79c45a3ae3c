"""Progress: on standard error, only for a person."""

import pytest

from apograph.cli.progress import Progress


@pytest.mark.parametrize(
    ("terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_progress(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    quiet: bool,
    shown: bool,
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with Progress(quiet) as progress:
        progress.opening()
        progress("files\x1b.equal", 1, 12)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("[2/12] files\\x1b.equal" in err) is shown
    assert (err != "") is shown


def test_reading_tells_share_rate_and_time_left(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = Progress(quiet=False)
    progress.reading(1_000_000, 4_000_000, 0.5)
    progress.reading(1_100_000, 4_000_000, 0.55)
    told = capsys.readouterr().err
    assert told.count("\r") == 1
    assert "25% of 4 million elements, 2 million a second, 2 s left" in told
    progress.reading(4_000_000, 4_000_000, 0.6)
    assert "100%" in capsys.readouterr().err
    Progress(quiet=True).reading(1, 1, 9.0)
    assert capsys.readouterr().err == ""
