"""Dockerfile instructions applied to a configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod.define.errors import InvalidArgumentError
from libpod.image.changes import apply_changes, words


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('CMD ["sh", "-c", "date"]', {"Cmd": ["sh", "-c", "date"]}),
        ("CMD date -u", {"Cmd": ["/bin/sh", "-c", "date -u"]}),
        ("cmd=/bin/sh", {"Cmd": ["/bin/sh", "-c", "/bin/sh"]}),
        ("CMD [ -f /x ] && y", {"Cmd": ["/bin/sh", "-c", "[ -f /x ] && y"]}),
        ("ENTRYPOINT []", {"Entrypoint": []}),
        ('ENV A=1 B="two words" C=x\\ y D=\'$z\'', {"Env": ["A=1", "B=two words", "C=x y", "D=$z"]}),
        ("ENV A the rest = it", {"Env": ["A=the rest = it"]}),
        ("ENV=A=1", {"Env": ["A=1"]}),
        ("LABEL a=b c=", {"Labels": {"a": "b", "c": ""}}),
        ("EXPOSE 80 53/udp 8000-8002", {
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}
        }),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/with space"]', {"Volumes": {"/with space": {}}}),
        ("USER 1:2", {"User": "1:2"}),
        ("WORKDIR /w", {"WorkingDir": "/w"}),
        ("STOPSIGNAL TERM", {"StopSignal": "15"}),
        ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
        ('SHELL ["/bin/ash", "-c"]', {"Shell": ["/bin/ash", "-c"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        ("HEALTHCHECK --interval=1m30s --retries=3 CMD curl localhost", {
            "Healthcheck": {"Interval": 90_000_000_000, "Retries": 3, "Test": ["CMD-SHELL", "curl localhost"]}
        }),
        ('HEALTHCHECK CMD ["true"]', {"Healthcheck": {"Test": ["CMD", "true"]}}),
    ],
)  # fmt: skip
def test_an_instruction_changes_the_configuration(change: str, expected: dict[str, Any]) -> None:
    assert apply_changes({}, [change]) == expected


@pytest.mark.parametrize(
    "change",
    [
        "", "CMD", "NONSENSE x", "FROM x", "ENV A", "ENV =x", "ENV A=1 B", "EXPOSE none", "EXPOSE 0", "EXPOSE 70000",
        "EXPOSE 9-8", "VOLUME relative", "VOLUME [1]", "CMD [1]", "STOPSIGNAL WHAT", "SHELL /bin/sh", 'ENV A="open',
        "HEALTHCHECK x", "HEALTHCHECK --interval=x CMD y", "HEALTHCHECK --what=1 CMD y", "ONBUILD ", "USERX 1",
    ],
)  # fmt: skip
def test_a_malformed_instruction_is_quoted_in_the_error(change: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        apply_changes({}, [change])
    assert change.strip().split(" ")[0][:5] in str(caught.value)


def test_what_is_inherited_is_extended_and_replaced_in_place() -> None:
    base: Any = {"Env": ["PATH=/bin", "A=0"], "Labels": {"a": "0"}, "WorkingDir": "/w", "Unknown": [1]}
    changed = apply_changes(base, ["ENV A=1 B=2", "LABEL b=1", "WORKDIR sub"])
    assert changed == {
        "Env": ["PATH=/bin", "A=1", "B=2"],
        "Labels": {"a": "0", "b": "1"},
        "WorkingDir": "/w/sub",
        "Unknown": [1],
    }
    assert base["Env"] == ["PATH=/bin", "A=0"], "the base is not touched"


def test_a_new_entry_point_forgets_the_inherited_command_but_not_a_new_one() -> None:
    assert "Cmd" not in apply_changes({"Cmd": ["x"]}, ["ENTRYPOINT y"])
    assert apply_changes({"Cmd": ["x"]}, ["CMD z", "ENTRYPOINT y"])["Cmd"] == ["/bin/sh", "-c", "z"]


def test_the_shell_of_the_image_runs_its_command_lines() -> None:
    assert apply_changes({"Shell": ["/bin/ash", "-ec"]}, ["CMD date"])["Cmd"] == ["/bin/ash", "-ec", "date"]


@given(st.text(max_size=60))
def test_no_text_causes_another_error(text: str) -> None:
    for change in (
        text,
        f"ENV {text}",
        f"HEALTHCHECK {text}",
        f"CMD {text}",
        f"LABEL a={text}",
        f"EXPOSE {text}",
    ):
        try:
            apply_changes({}, [change])
        except InvalidArgumentError:
            pass


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters='"\\'), min_size=1), max_size=5))
def test_quoted_words_come_back(parts: list[str]) -> None:
    assert words(" ".join(f'"{part}"' for part in parts)) == parts
