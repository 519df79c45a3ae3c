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
