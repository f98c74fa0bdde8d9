"""Tables, sizes and times look as podman's do."""

from __future__ import annotations

import time

import pytest

import libpod
from libpod_cli import formatting
from libpod_cli.environment import environment, labels
from libpod_cli.errors import exit_code, sentence
from libpod_cli.formatting import (
    NEVER,
    ago,
    go_duration,
    go_time,
    human_duration,
    human_size,
    show,
    unix_seconds,
)
from libpod_cli.moments import rfc3339_of, seconds_of
from libpod_cli.parser import UsageError
from libpod_cli.tables import aligned


def test_columns_are_at_least_twelve_wide_and_the_last_is_not_padded() -> None:
    assert (
        aligned([["A", "B"], ["a long cell indeed", "x"]]) == "A                   B\na long cell indeed  x"
    )
    assert aligned([["ID", "NAME"]]) == "ID          NAME"


def test_an_empty_table_has_its_heading() -> None:
    assert aligned([["CONTAINER ID", "IMAGE", "NAMES"]]) == "CONTAINER ID  IMAGE       NAMES"


@pytest.mark.parametrize(
    ("size", "digits", "expected"),
    [
        (0, 4, "0B"),
        (999, 4, "999B"),
        (1000, 4, "1kB"),
        (352_300, 4, "352.3kB"),
        (1_997_895, 3, "2MB"),
        (1_980_000, 3, "1.98MB"),
        (25_276_059_648, 4, "25.28GB"),
    ],
)
def test_sizes_are_decimal(size: int, digits: int, expected: str) -> None:
    assert human_size(size, digits) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations_are_told_as_people_tell_them(seconds: float, expected: str) -> None:
    assert human_duration(seconds) == expected


def test_a_time_that_never_was_is_no_time() -> None:
    assert unix_seconds("0001-01-01T00:00:00Z") < 0
    assert ago("0001-01-01T00:00:00Z") == ""
    assert unix_seconds("") == NEVER


def test_times_are_written_as_go_writes_them() -> None:
    assert go_time("2026-11-30T14:28:29.068901483Z") == "2026-11-30 14:28:29.068901483 +0000 UTC"
    assert go_duration(45_187_409) == "45.187409ms"
    assert go_duration(3_723_500_000_000) == "1h2m3.5s"
    assert go_duration(0) == "0s"


def test_a_zone_counts() -> None:
    assert unix_seconds("1970-01-01T02:00:00+02:00") == 0
    assert unix_seconds("1970-01-01T00:00:01.5Z") == 1.5


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00Z", "2026-01-31", "1769860800", "10m", "1h30m", "-5s"])
def test_moments_may_be_written_in_many_ways(text: str) -> None:
    assert seconds_of(text) > 0
    assert rfc3339_of(text).endswith("Z")


def test_a_length_of_time_means_so_long_ago() -> None:
    assert abs(time.time() - 600 - seconds_of("10m")) < 60


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(UsageError, match="not a time"):
        seconds_of("yesterday")


# ---- listings ---------------------------------------------------------------------------------------------------

ROWS = [{"ID": "1", "RunningFor": "now", "Names": "a"}, {"ID": "2", "RunningFor": "then", "Names": "b"}]


def listing(capsys: pytest.CaptureFixture[str], template: str, *, heading: bool = True) -> str:
    show(
        ROWS,
        template,
        columns=("ID", "Names"),
        headings={"ID": "CONTAINER ID"},
        documents=lambda: [{"Id": row["ID"]} for row in ROWS],
        heading=heading,
    )
    return capsys.readouterr().out


def test_without_a_format_the_default_columns_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing(capsys, "") == "CONTAINER ID  NAMES\n1             a\n2             b\n"
    assert listing(capsys, "", heading=False) == "1           a\n2           b\n"


def test_a_template_is_printed_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert listing(capsys, r"{{.ID}}\t{{.Names}}") == "1\ta\n2\tb\n"


def test_a_table_template_has_columns_and_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "CONTAINER ID  RUNNING FOR\n1             now\n2             then\n"
    assert listing(capsys, "table {{.ID}} {{.RunningFor}}") == expected


@pytest.mark.parametrize("template", ["json", "{{json .}}", "{{ json }}"])
def test_json_gives_the_documents(capsys: pytest.CaptureFixture[str], template: str) -> None:
    assert listing(capsys, template) == '[\n  {\n    "Id": "1"\n  },\n  {\n    "Id": "2"\n  }\n]\n'


@pytest.mark.parametrize(
    ("field", "heading"),
    [
        ("ID", "ID"),
        ("RunningFor", "RUNNING FOR"),
        ("CPUPerc", "CPU PERC"),
        ("Names", "NAMES"),
        ("IPC", "IPC"),
    ],
)
def test_a_heading_is_made_of_the_field(field: str, heading: str) -> None:
    assert formatting._heading(field, {}) == heading


# ---- environment, labels, errors ------------------------------------------------------------------------------


def test_variables_come_from_words_files_and_this_process(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"{tmp_path}/env"
    with open(file, "w") as stream:
        stream.write("# a comment\n\nA=file\nB=file\n")
    monkeypatch.setenv("LP_ONE", "1")
    monkeypatch.setenv("LP_TWO", "2")
    monkeypatch.delenv("LP_NONE", raising=False)
    found = environment(["A=word", "LP_ONE", "LP_NONE", "C="], [file])
    assert found == {"A": "word", "B": "file", "LP_ONE": "1", "C": ""}
    assert environment(["LP_*"]) == {"LP_ONE": "1", "LP_TWO": "2"}


def test_a_variable_without_a_name_is_refused() -> None:
    with pytest.raises(UsageError):
        environment(["=x"])


def test_a_label_may_have_no_value() -> None:
    assert labels(["a", "b=c=d"]) == {"a": "", "b": "c=d"}


@pytest.mark.parametrize(
    ("error", "verb", "code"),
    [
        (libpod.NoSuchContainerError("x"), "stop", 125),
        (libpod.NoSuchContainerError("x"), "rm", 1),
        (libpod.NoSuchContainerError("x"), "container rm", 1),
        (
            libpod.ContainerStateError(
                operation="remove", container="x", status="running", allowed=["exited"]
            ),
            "rm",
            2,
        ),
        (libpod.NoSuchImageError("x"), "rmi", 1),
        (libpod.NoSuchImageError("x"), "run", 125),
        (libpod.ImageInUseError("x", ["y"]), "rmi", 2),
        (libpod.VolumeInUseError("x", ["y"]), "volume rm", 2),
        (libpod.CommandNotFoundError("x"), "run", 127),
        (libpod.CommandNotExecutableError("x"), "exec", 126),
        (libpod.OciRuntimeError("x"), "run", 126),
        (UsageError("x"), "run", 125),
        (PermissionError(13, "Permission denied", "/x"), "run", 125),
    ],
)
def test_errors_have_podmans_exit_codes(error: Exception, verb: str, code: int) -> None:
    assert exit_code(error, verb) == code


def test_an_error_is_one_line() -> None:
    assert sentence(libpod.LibpodError("a\nb", resolution="c\n d")) == "a b: c d"
    assert (
        sentence(FileNotFoundError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    )
