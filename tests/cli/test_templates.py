"""Templates are understood as Go's are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libpod_cli.templates import Template, TemplateError

DATA: dict[str, Any] = {
    "ID": "abc",
    "Names": ["web", "www"],
    "State": {"Status": "running", "Pid": 42, "Running": True, "Error": ""},
    "Config": {"Labels": {"a": "b", "with-dash": "c"}, "Env": None},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "Size": 1.5,
    "Label": lambda name: DATA["Config"]["Labels"].get(name, ""),
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{{.ID}}", "abc"),
        ("{{ .ID }}-{{.State.Status}}", "abc-running"),
        ("{{.Id}}", "abc"),
        ("{{$.ID}}", "abc"),
        ("{{.State.Running}} {{.State.Pid}} {{.Size}}", "true 42 1.5"),
        ("{{.Names}}", "[web www]"),
        ("{{.Config.Labels}}", "map[a:b with-dash:c]"),
        ('{{index .Config.Labels "with-dash"}}', "c"),
        ('{{index .Config.Labels "none"}}', ""),
        ("{{index .Names 1}}", "www"),
        ("{{(index .Mounts 0).Source}}", "/a"),
        ("{{.Config.Labels.none}}", "<no value>"),
        ("{{json .Names}}", '["web","www"]'),
        ("{{json .State.Running}} {{json .ID}}", 'true "abc"'),
        ("{{.Config.Labels | json}}", '{"a":"b","with-dash":"c"}'),
        ("{{len .Names}} {{len .ID}}", "2 3"),
        ('{{join .Names ","}}', "web,www"),
        ("{{upper .ID}} {{lower `ABC`}} {{title .State.Status}}", "ABC abc Running"),
        ('{{range .Names}}<{{.}}>{{end}}', "<web><www>"),
        ('{{range $i, $name := .Names}}{{$i}}={{$name}} {{end}}', "0=web 1=www "),
        ('{{range $name := .Names}}{{$name}}{{end}}', "webwww"),
        ("{{range .Config.Env}}x{{else}}none{{end}}", "none"),
        ("{{range .Config.Labels}}{{.}} {{end}}", "b c "),
        ("{{range .Mounts}}{{.Source}}{{if eq .Source `/a`}}{{continue}}{{end}};{{end}}", "/a/b;"),
        ("{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/a"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.Error}}bad{{else if eq .State.Pid 41 42}}good{{else}}?{{end}}", "good"),
        ("{{with .State}}{{.Pid}}{{end}}", "42"),
        ("{{with .State.Error}}{{.}}{{else}}fine{{end}}", "fine"),
        ("{{if and .State.Running (gt .State.Pid 1)}}y{{end}}", "y"),
        ("{{if or .State.Error .ID}}y{{end}}", "y"),
        ("{{if not .State.Error}}y{{end}}", "y"),
        ("{{$x := .ID}}{{$x}}{{$x = `z`}}{{$x}}", "abcz"),
        ("a  {{- .ID -}}  b", "aabcb"),
        ("{{/* nothing */}}x", "x"),
        ('{{printf "%-5s|%5d|%q" .ID .State.Pid .ID}}', 'abc  |   42|"abc"'),
        ('{{print .ID "}}" 1}}', "abc}}1"),
        ('{{slice .ID 1}}{{slice .ID 0 1}}', "bca"),
        ('{{truncate .ID 2}} {{split "a/b" "/"}}', "ab [a b]"),
        ('{{.Label "a"}}', "b"),
        ("{{println .ID}}", "abc\n"),
        ("{{1}} {{0x10}} {{1.50}} {{true}} {{`raw`}} {{'a'}}", "1 16 1.5 true raw 97"),
    ],
)  # fmt: skip
def test_a_template_gives_what_go_gives(template: str, expected: str) -> None:
    assert Template(template).render(DATA) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Nope}}", "no field Nope"),
        ("{{.State.Nope}}", "no field Nope"),
        ("{{.ID.Nope}}", "no field Nope"),
        ("{{if .ID}}x", "end"),
        ("{{end}}", "without a beginning"),
        ("{{nope .ID}}", 'function "nope" not defined'),
        ("{{.ID", "not closed"),
        ("{{$y}}", "undefined variable"),
        ("{{index .Names 7}}", "index out of range"),
        ("{{len .State.Pid}}", "error calling len"),
        ("{{(.ID}}", "parenthesis"),
        ("{{}}", "no value"),
        ("{{.ID ?}}", "not understood"),
        ("{{range .State.Status}}x{{end}}", "can't iterate"),
        ("{{.ID .ID}}", "takes no arguments"),
    ],
)
def test_what_is_wrong_is_said(template: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        Template(template).render(DATA)


@given(st.text(alphabet="{}.|$()\"`ab -=:,0'%\n", max_size=40))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    try:
        Template(text).render({"a": {"b": 1}})
    except TemplateError:
        pass


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_is_left_alone(text: str) -> None:
    assert Template(text).render({}) == text
