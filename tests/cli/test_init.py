"""The wrapper around every command: one line, the right exit code, no traceback."""

import subprocess
import sys
import types

import pytest

from apograph import cli
from apograph.findings import Message, Refusal


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command ``broken`` whose ``error`` the test sets."""
    module = types.ModuleType("apograph.cli.version")

    def version() -> int:
        if isinstance(module.outcome, BaseException):
            raise module.outcome
        return int(module.outcome)

    module.version = version
    monkeypatch.setitem(sys.modules, "apograph.cli.version", module)
    monkeypatch.setattr(cli, "COMMANDS", ("version",))
    say = cli.say
    monkeypatch.setattr(cli, "say", lambda key, **p: "" if key == "cli.version.help" else say(key, **p))
    return module


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 6])
def test_a_command_returns_its_code(fail: types.ModuleType, code: int) -> None:
    fail.outcome = code
    assert cli.call(["version"]) == code


def test_a_refusal_is_one_escaped_line(fail: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    reason = Message("cli.error.usage", {"reason": "\x1b[31m\u202e"})
    fail.outcome = Refusal(2, reason, "a\nb" + "p" * 400, 7)
    assert cli.call(["version"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("apograph: a\\nbppp")
    assert err.endswith(" (byte 7)\n")
    assert "\\x1b[31m\\u202e" in err
    assert len(err) <= 301


def test_a_long_reason_keeps_the_offset(fail: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    fail.outcome = Refusal(5, Message("cli.error.usage", {"reason": "r" * 1000}), "x.json", 12345)
    assert cli.call(["version"]) == 5
    err = capsys.readouterr().err
    assert len(err) == 301
    assert err.endswith("… (byte 12,345)\n")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 5, "memory"),
        (ValueError("line one\nline two"), 2, "ValueError: line one\\nline two"),
        (RecursionError(), 2, "RecursionError"),
        (Refusal(2, Message("no.such.key")), 2, "no.such.key"),
    ],
)
def test_other_errors(
    fail: types.ModuleType, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    fail.outcome = error
    assert cli.call(["version"]) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [["nonsense"], ["--nonsense"], ["version", "surplus"]])
def test_usage_errors_exit_4(
    fail: types.ModuleType, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.call(argv) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_no_command_takes_the_place_of_a_function() -> None:
    own = {name for name, value in vars(cli).items() if getattr(value, "__module__", "") == cli.__name__}
    assert "call" in own
    assert not own & set(cli.COMMANDS)


def test_worst() -> None:
    assert cli.worst([]) == 0
    assert cli.worst([1, 2]) == 2
    assert cli.worst([2, 5, 1]) == 5
    assert cli.worst([6, 5, 4]) == 6
    assert cli.worst([0, 130, 6]) == 130
    assert cli.worst([1, 0]) == 1


def test_debug_shows_the_fault(fail: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOGRAPH_DEBUG", "1")
    fail.outcome = ValueError("x")
    with pytest.raises(ValueError, match="x"):
        cli.call(["version"])


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = "import time; time.sleep(0.3); from apograph.cli import main; main(['--help'])"
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | true; echo ${PIPESTATUS[0]}', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout == "130\n"
