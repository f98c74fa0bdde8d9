"""Choosing images: the filters of `images`, `image prune` and the API.

    dangling=true|false         intermediate=true|false     readonly=true|false     manifest=true|false
    label=key[=value]           reference=pattern           id=prefix               digest=sha256:prefix
    before=image                since=image (or after)      until=time              containers=true|false

`key!=value` negates one. Every filter given must hold, also several of one key. A pattern is a shell pattern whose
`*` does not cross a slash, compared with the stored name with and without registry, path and tag. The filters are
parsed into predicates over an `ImageGraph`; nothing here reads the store.

Covers: libimage/filters.go
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from libpod.define.errors import InvalidArgumentError, LibpodError
from libpod.image.graph import ImageGraph
from libpod.image.references import Reference
from libpod.model.times import age, to_nanoseconds
from libpod.model.units import parse_duration
from libpod.storage.stored import StoredImage

if TYPE_CHECKING:
    from libpod.image.local import LocalImages

Predicate = Callable[[StoredImage], bool]
_TRUE, _FALSE = ("true", "1", "t", "True", "TRUE", "T"), ("false", "0", "f", "False", "FALSE", "F")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")


@attrs.frozen(kw_only=True)
class FilterContext:
    """What the filters may ask for."""

    graph: ImageGraph
    find: Callable[[str], StoredImage]
    """Look an image up as the user types it; raises."""
    used_images: Collection[str]
    """The ids of images that containers are based on."""
    is_list: Callable[[StoredImage], bool]
    now_ns: int
    """The present time, for durations that mean *ago*."""


def compile_filters(filters: Iterable[str], context: FilterContext) -> list[Predicate]:
    """One predicate per filter; raises InvalidArgumentError, NoSuchImageError for before/since."""
    return [_compile(text, context) for text in filters]


def apply_filters(
    images: Sequence[StoredImage], filters: Iterable[str], context: FilterContext
) -> list[StoredImage]:
    """The images for which every filter holds, in their order."""
    predicates = compile_filters(filters, context)
    return [image for image in images if all(predicate(image) for predicate in predicates)]


def context_of(images: LocalImages, graph: ImageGraph) -> FilterContext:
    """What the filters may ask for, as the store is now."""
    return FilterContext(
        graph=graph,
        find=images.find,
        used_images={container.image_id for container in images.store.containers() if container.image_id},
        is_list=images.is_list,
        now_ns=time.time_ns(),
    )


def filtered(images: LocalImages, filters: Iterable[str]) -> list[StoredImage]:
    """The local images for which every filter holds, in the order in which they came; raises as `compile_filters`."""
    graph = images.graph()
    return apply_filters(graph.images, filters, context_of(images, graph))


def matches_reference(image: StoredImage, pattern: str) -> bool:
    """Whether one of the image's names suits *pattern*."""
    return _is_named(image, _pattern(pattern))


def _is_named(image: StoredImage, wanted: re.Pattern[str]) -> bool:
    return any(wanted.fullmatch(form) for name in image.names for form in _forms(name))


def created_ns(image: StoredImage) -> int:
    """When the image was made; the beginning of time when it does not say."""
    return age(image.created)


def parse_moment(text: str, *, now_ns: int) -> int:
    """Unix nanoseconds of a time as users write it; raises InvalidArgumentError.

    RFC 3339 with or without a zone (then UTC), a date, seconds since 1970 with an optional fraction, or a duration
    that means so long ago.
    """
    whole, _, fraction = text.partition(".")
    if whole.isdecimal() and (fraction.isdecimal() or "." not in text):
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
    full = text
    if _DATE.fullmatch(text):
        full = {10: f"{text}T00:00:00", 16: f"{text}:00"}.get(len(text), text) + "Z"
    try:
        return to_nanoseconds(full)
    except ValueError:
        pass
    try:
        return now_ns - parse_duration(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f'"{text}" is not a time',
            resolution="use a date, an RFC 3339 time, Unix seconds or a duration such as 24h",
        ) from error


def _compile(text: str, context: FilterContext) -> Predicate:
    key, negated, value = text.partition("!=")
    if not negated:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgumentError(f'"{text}" is not an image filter', resolution="write it as key=value")
    make = _FILTERS.get(key)
    if make is None:
        raise InvalidArgumentError(
            f'"{key}" is not an image filter', resolution=f"use one of {', '.join(_FILTERS)}"
        )
    predicate = make(key, value, context)
    return (lambda image: not predicate(image)) if negated else predicate


def _boolean(key: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidArgumentError(f'the filter {key} takes true or false, not "{value}"')


def _dangling(key: str, value: str, context: FilterContext) -> Predicate:
    wanted = _boolean(key, value)
    return lambda image: context.graph.is_dangling(image) == wanted


def _intermediate(key: str, value: str, context: FilterContext) -> Predicate:
    wanted = _boolean(key, value)
    return lambda image: context.graph.is_intermediate(image) == wanted


def _readonly(key: str, value: str, context: FilterContext) -> Predicate:
    wanted = _boolean(key, value)
    return lambda image: image.read_only == wanted


def _manifest(key: str, value: str, context: FilterContext) -> Predicate:
    wanted = _boolean(key, value)
    return lambda image: context.is_list(image) == wanted


def _containers(key: str, value: str, context: FilterContext) -> Predicate:
    wanted = _boolean(key, value)
    return lambda image: (image.id in context.used_images) == wanted


def _label(key: str, value: str, context: FilterContext) -> Predicate:
    name, equals, text = value.partition("=")
    wanted = _pattern(name, slashes=True)

    def holds(image: StoredImage) -> bool:
        settings = context.graph.settings(image)
        labels: Mapping[str, str] = settings.labels if settings is not None else {}
        return any(
            wanted.fullmatch(label) and (not equals or content == text) for label, content in labels.items()
        )

    return holds


def _reference(key: str, value: str, context: FilterContext) -> Predicate:
    # Not only a pattern: what the user types to mean an image selects it too.
    try:
        meant = context.find(value).id
    except LibpodError:
        meant = ""
    wanted = _pattern(value)
    return lambda image: image.id == meant or _is_named(image, wanted)


def _id(key: str, value: str, context: FilterContext) -> Predicate:
    prefix = value.removeprefix("sha256:")
    return lambda image: image.id.startswith(prefix)


def _digest(key: str, value: str, context: FilterContext) -> Predicate:
    if not value.startswith("sha256:"):
        raise InvalidArgumentError(f'the filter digest takes sha256:… and not "{value}"')
    return lambda image: any(digest.startswith(value) for digest in image.digests)


def _before(key: str, value: str, context: FilterContext) -> Predicate:
    limit = created_ns(context.find(value))
    return lambda image: created_ns(image) < limit


def _since(key: str, value: str, context: FilterContext) -> Predicate:
    limit = created_ns(context.find(value))
    return lambda image: created_ns(image) > limit


def _until(key: str, value: str, context: FilterContext) -> Predicate:
    limit = parse_moment(value, now_ns=context.now_ns)
    return lambda image: created_ns(image) < limit


_FILTERS: dict[str, Callable[[str, str, FilterContext], Predicate]] = {
    "after": _since,
    "before": _before,
    "containers": _containers,
    "dangling": _dangling,
    "digest": _digest,
    "id": _id,
    "intermediate": _intermediate,
    "label": _label,
    "manifest": _manifest,
    "readonly": _readonly,
    "reference": _reference,
    "since": _since,
    "until": _until,
}


def _forms(name: str) -> list[str]:
    """The spellings of a stored name that a pattern may describe."""
    try:
        reference = Reference.parse(name)
    except InvalidArgumentError:
        return [name]
    suffix = name[len(reference.repository) :]
    last = reference.path.rpartition("/")[2]
    return [
        name,
        reference.repository,
        reference.path + suffix,
        reference.path,
        last + suffix,
        last,
    ]


def _pattern(pattern: str, *, slashes: bool = False) -> re.Pattern[str]:
    """A shell pattern as Go's path.Match understands it; `*` and `?` match a slash only with *slashes*."""
    any_letter = "." if slashes else "[^/]"
    text, position = "", 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "*":
            text += f"{any_letter}*"
        elif letter == "?":
            text += any_letter
        elif letter == "[" and "]" in pattern[position + 2 :]:
            end = pattern.index("]", position + 2)
            members = pattern[position + 1 : end]
            negated = "^" if members.startswith("^") else ""
            quoted = re.sub(r"[^A-Za-z0-9-]", lambda match: "\\" + match[0], members.removeprefix("^"))
            text += f"[{negated}{quoted}]"
            position = end
        elif letter == "\\" and position + 1 < len(pattern):
            position += 1
            text += re.escape(pattern[position])
        else:
            text += re.escape(letter)
        position += 1
    try:
        return re.compile(text)
    except re.error:
        return re.compile(re.escape(pattern))
