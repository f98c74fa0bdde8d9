"""Go templates, as far as command lines use them.

    {{.Field.Inner}}   {{$}}  {{$x}}   "text"  `text`  12  1.5  true  false  nil   (pipelines)   {{a | b}}
    {{if}} {{else if}} {{else}} {{with}} {{range}} {{range $i, $e := …}} {{break}} {{continue}} {{end}}
    {{$x := …}} {{$x = …}} {{/* comment */}}   {{- and -}} cut the white space beside them
    and or not eq ne lt le gt ge index slice len print printf println     Go's
    join json lower pad split title truncate upper                        podman's

Data are what JSON has. A field that a document does not have is an error, as with a Go structure; inside the maps that
users fill (labels, annotations, …) it is `<no value>`. Names are matched by letter first, then without their case,
since podman's documents say `Id` where its templates say `ID`.

Covers: text/template of Go, pkg/report of the common library
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from libpod_cli.parser import UsageError

NO_VALUE = "<no value>"
USER_MAPS = frozenset(
    {"labels", "annotations", "options", "ports", "networks", "portbindings", "sysctls", "data", "volumes",
     "attributes", "exposedports", "tmpfs", "namespaces", "storageopt"}
)  # fmt: skip
"""Fields whose keys are not podman's."""


class TemplateError(UsageError):
    """The template is wrong, or does not suit the data."""


class _Missing(str):
    """What a map gives for a key that it does not have."""


_MISSING = _Missing(NO_VALUE)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


# ---- the parts of a template --------------------------------------------------------------------------------------


@attrs.frozen
class _Token:
    kind: str
    text: str
    glued: bool
    """Whether it follows the token before without a space: `(…).Field`."""


@attrs.frozen
class _Scope:
    """Where a part is evaluated."""

    dot: Any
    variables: dict[str, Any]


Evaluate = Callable[[_Scope], Any]
Write = Callable[[_Scope, list[str]], None]

_ACTION = re.compile(r'\{\{(-\s)?((?:"(?:\\.|[^"\\])*"|`[^`]*`|(?!\}\}).)*?)(\s-)?\}\}', re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<char>'(?:\\.|[^'\\])')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))
    |(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<name>\w+)|(?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)


class Template:
    """A template, ready for use; raises TemplateError."""

    def __init__(self, text: str) -> None:
        self._parts = _Parser(_split(text)).whole()

    def render(self, data: Any) -> str:
        """The text for *data*; raises TemplateError."""
        out: list[str] = []
        scope = _Scope(data, {"$": data})
        for write in self._parts:
            write(scope, out)
        return "".join(out)


def _split(text: str) -> list[str | list[_Token]]:
    """Text and actions in turn, white space cut where the actions say so."""
    parts: list[str | list[_Token]] = []
    position, cut = 0, False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if cut else before
        parts.append(before.rstrip() if match[1] else before)
        body = match[2].strip()
        if not (body.startswith("/*") and body.endswith("*/")):
            parts.append(_tokens(body))
        position, cut = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise TemplateError("template: an action {{…}} is not closed")
    parts.append(rest.lstrip() if cut else rest)
    return parts


def _tokens(body: str) -> list[_Token]:
    found, position, glued = [], 0, False
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None:
            raise TemplateError(f"template: {body[position:]!r} is not understood in {{{{{body}}}}}")
        position = match.end()
        if match.lastgroup != "space":
            found.append(_Token(match.lastgroup or "", match[0], glued))
        glued = match.lastgroup != "space"
    return found


# ---- parsing ------------------------------------------------------------------------------------------------------


class _Parser:
    """Makes writers out of text and actions."""

    def __init__(self, parts: Sequence[str | list[_Token]]) -> None:
        self._parts = list(parts)
        self._next = 0

    def whole(self) -> list[Write]:
        writers, end = self._until(())
        if end:
            raise TemplateError(f"template: {{{{{end[0].text}}}}} without a beginning")
        return writers

    def _until(self, ends: Sequence[str]) -> tuple[list[Write], list[_Token]]:
        """Writers up to an action that begins with one of *ends*, and that action."""
        writers: list[Write] = []
        while self._next < len(self._parts):
            part = self._parts[self._next]
            self._next += 1
            if isinstance(part, str):
                if part:
                    writers.append(_text_writer(part))
                continue
            word = part[0].text if part else ""
            if word in ends:
                return writers, part
            if word in ("end", "else"):
                raise TemplateError(f"template: {{{{{word}}}}} without a beginning")
            writers.append(self._action(word, part))
        if ends:
            raise TemplateError("template: {{end}} is missing")
        return writers, []

    def _action(self, word: str, tokens: list[_Token]) -> Write:
        if word in ("if", "with"):
            return self._conditional(tokens[1:], rebind=word == "with")
        if word == "range":
            return self._range(tokens[1:])
        if word in ("break", "continue"):
            return _raiser(_Break if word == "break" else _Continue)
        names, evaluate = _pipeline(tokens)
        if names:
            return _assigner(names[-1], evaluate)
        return lambda scope, out: out.append(go_text(evaluate(scope)))

    def _conditional(self, tokens: list[_Token], *, rebind: bool) -> Write:
        names, evaluate = _pipeline(tokens)
        then, end = self._until(("else", "end"))
        otherwise: list[Write] = []
        if end[0].text == "else":
            if len(end) > 1 and end[1].text in ("if", "with"):
                otherwise = [self._conditional(end[2:], rebind=end[1].text == "with")]
            else:
                otherwise, _ = self._until(("end",))

        def write(scope: _Scope, out: list[str]) -> None:
            value = evaluate(scope)
            inner = _Scope(value if rebind and _true(value) else scope.dot, dict(scope.variables))
            if names:
                inner.variables[names[-1]] = value
            for part in then if _true(value) else otherwise:
                part(inner, out)

        return write

    def _range(self, tokens: list[_Token]) -> Write:
        names, evaluate = _pipeline(tokens)
        body, end = self._until(("else", "end"))
        otherwise = self._until(("end",))[0] if end[0].text == "else" else []

        def write(scope: _Scope, out: list[str]) -> None:
            pairs = _pairs(evaluate(scope))
            for key, item in pairs:
                inner = _Scope(item, dict(scope.variables))
                inner.variables.update(zip(names, (key, item) if len(names) == 2 else (item,)))
                try:
                    for part in body:
                        part(inner, out)
                except _Continue:
                    continue
                except _Break:
                    break
            if not pairs:
                for part in otherwise:
                    part(scope, out)

        return write


def _text_writer(text: str) -> Write:
    return lambda scope, out: out.append(text)


def _raiser(signal: type[Exception]) -> Write:
    def write(scope: _Scope, out: list[str]) -> None:
        raise signal

    return write


def _assigner(name: str, evaluate: Evaluate) -> Write:
    def write(scope: _Scope, out: list[str]) -> None:
        scope.variables[name] = evaluate(scope)

    return write


def _pipeline(tokens: list[_Token]) -> tuple[list[str], Evaluate]:
    """The variables that are set, and the value."""
    names: list[str] = []
    for position, token in enumerate(tokens):
        if token.text in (":=", "=") and token.kind == "sign":
            names = [part.text for part in tokens[:position] if part.kind == "variable"]
            tokens = tokens[position + 1 :]
            break
    if not tokens:
        raise TemplateError("template: an action has no value")
    evaluate, rest = _expression(tokens)
    if rest:
        raise TemplateError(f"template: unexpected {rest[0].text!r}")
    return names, evaluate


def _expression(tokens: list[_Token]) -> tuple[Evaluate, list[_Token]]:
    """Commands with `|` between them, up to a closing parenthesis."""
    evaluate: Evaluate | None = None
    while True:
        operands, names = [], []
        while tokens and tokens[0].text not in ("|", ")"):
            operand, name, tokens = _operand(tokens)
            operands.append(operand)
            names.append(name)
        if not operands:
            raise TemplateError("template: a command is missing")
        evaluate = _command(operands, names[0], evaluate)
        if not tokens or tokens[0].text == ")":
            return evaluate, tokens
        tokens = tokens[1:]


def _command(operands: list[Evaluate], function: str, piped: Evaluate | None) -> Evaluate:
    """A call of *function*, or of a value that can be called, or just a value."""
    rest = [*operands[1:], *([piped] if piped is not None else [])]
    if function in ("and", "or"):
        return _short_circuit(rest, stop_at=function == "or")
    if function:
        call = FUNCTIONS[function]
        return lambda scope: _called(call, function, [part(scope) for part in rest])
    first = operands[0]
    if not rest:
        return lambda scope: value() if callable(value := first(scope)) else value

    def apply(scope: _Scope) -> Any:
        value = first(scope)
        if not callable(value):
            raise TemplateError(f"template: {go_text(value)!r} takes no arguments")
        return _called(value, "a field", [part(scope) for part in rest])

    return apply


def _called(function: Callable[..., Any], name: str, arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise TemplateError(f"template: error calling {name}: {error}") from error


def _short_circuit(operands: list[Evaluate], *, stop_at: bool) -> Evaluate:
    def evaluate(scope: _Scope) -> Any:
        value: Any = None
        for part in operands:
            value = part(scope)
            if _true(value) is stop_at:
                break
        return value

    return evaluate


def _operand(tokens: list[_Token]) -> tuple[Evaluate, str, list[_Token]]:
    """One operand with the fields glued to it; the name when it is a function; the rest."""
    token, rest = tokens[0], tokens[1:]
    evaluate: Evaluate
    if token.text == "(":
        evaluate, rest = _expression(rest)
        if not rest:
            raise TemplateError("template: a parenthesis is not closed")
        rest = rest[1:]
    elif token.kind == "field":
        evaluate = _field_of(lambda scope: scope.dot, token.text[1:])
    elif token.kind == "dot":
        evaluate = _dot
    elif token.kind == "variable":
        evaluate = _variable(token.text)
    elif token.kind == "name" and token.text in FUNCTIONS:
        return _dot, token.text, rest
    else:
        evaluate = _literal(token)
    while rest and rest[0].kind == "field" and rest[0].glued:
        evaluate = _field_of(evaluate, rest[0].text[1:])
        rest = rest[1:]
    return evaluate, "", rest


def _dot(scope: _Scope) -> Any:
    return scope.dot


def _variable(name: str) -> Evaluate:
    def evaluate(scope: _Scope) -> Any:
        if name not in scope.variables:
            raise TemplateError(f"template: undefined variable {name}")
        return scope.variables[name]

    return evaluate


def _literal(token: _Token) -> Evaluate:
    value: Any
    if token.kind == "string" and token.text.startswith("`"):
        value = token.text[1:-1]
    elif token.kind == "string":
        value = json.loads(token.text.replace("\t", r"\t"))
    elif token.kind == "char":
        value = ord(token.text[1:-1].encode().decode("unicode_escape"))
    elif token.kind == "number":
        value = (
            float(token.text)
            if re.search(r"[.eE]", token.text) and "x" not in token.text
            else int(token.text, 0)
        )
    elif token.text in ("true", "false", "nil"):
        value = {"true": True, "false": False, "nil": None}[token.text]
    else:
        raise TemplateError(f'template: function "{token.text}" not defined')
    return lambda scope: value


# ---- data ---------------------------------------------------------------------------------------------------------


def _field_of(owner: Evaluate, name: str) -> Evaluate:
    inner = getattr(owner, "field", "").lower() in USER_MAPS

    def evaluate(scope: _Scope) -> Any:
        value = owner(scope)
        if isinstance(value, Mapping):
            if name in value:
                return value[name]
            if inner:
                return _MISSING
            for key in value:
                if str(key).replace("_", "").lower() == name.lower():  # network_interface is NetworkInterface
                    return value[key]
            raise TemplateError(f"template: there is no field {name}")
        if value is None or isinstance(value, _Missing):
            return _MISSING
        raise TemplateError(f"template: there is no field {name} in {go_text(value)!r}")

    evaluate.field = name  # type: ignore[attr-defined]
    return evaluate


def _true(value: Any) -> bool:
    return bool(value) and not isinstance(value, _Missing)


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if value is None or isinstance(value, _Missing):
        return []
    if isinstance(value, Mapping):
        return sorted(value.items(), key=lambda pair: str(pair[0]))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    raise TemplateError(f"template: range can't iterate over {go_text(value)}")


def go_text(value: Any) -> str:
    """A value as Go's `%v` prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{go_text(item)}' for key, item in _pairs(value))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(map(go_text, value))}]"
    return str(value)


# ---- functions ----------------------------------------------------------------------------------------------------


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif value is None or isinstance(value, _Missing):
            value = ""
        else:
            if not 0 <= key < len(value):
                raise IndexError(f"index out of range: {key}")
            value = value[key]
    return value


def _printf(form: str, *values: Any) -> str:
    given = iter(values)

    def one(match: re.Match[str]) -> str:
        flags, kind = match[1], match[2]
        if kind == "%":
            return "%"
        value = next(given, _MISSING)
        if kind == "q":
            return f"%{flags}s" % _compact(go_text(value))
        if kind in "vst":
            return f"%{flags}s" % go_text(value)
        return f"%{flags}{kind}" % value

    return re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)([a-zA-Z%])", one, form)


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: test(left, right)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: values,
    "or": lambda *values: values,
    "not": lambda value: not _true(value),
    "eq": lambda first, *others: any(first == other for other in others),
    "ne": _compared(lambda left, right: left != right),
    "lt": _compared(lambda left, right: left < right),
    "le": _compared(lambda left, right: left <= right),
    "gt": _compared(lambda left, right: left > right),
    "ge": _compared(lambda left, right: left >= right),
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "len": lambda value: len(value) if value is not None else 0,
    "print": lambda *values: "".join(map(go_text, values)),
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "printf": _printf,
    "join": lambda values, separator="": separator.join(map(go_text, values or ())),
    "json": _compact,
    "lower": lambda text: go_text(text).lower(),
    "upper": lambda text: go_text(text).upper(),
    "title": lambda text: re.sub(r"\b\w", lambda match: match[0].upper(), go_text(text)),
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "truncate": lambda text, length: text[:length],
}
"""`and` and `or` do not evaluate what they need not and are built by the parser; they stand here for their names."""
