"""Records to JSON and back.

One `Codec` a record type. msgspec's first use of a type is not safe between threads, so it happens under a lock.
`encode`/`decode` are the fast, strict pair for what we store ourselves. `from_document` reads what others wrote, as Go
does: keys match without regard to case when no exact match exists, `null` leaves the default, unknown keys are kept (in
`extra`, where the record has one) and written back by `to_document`.
"""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

import msgspec

from libpod.define.errors import StateStoreError
from libpod.model.container_config import ContainerConfig
from libpod.model.container_state import ContainerState, ExecSession, ExitRecord
from libpod.model.container_summary import ContainerSummary
from libpod.model.event import Event
from libpod.model.pod import PodConfig, PodState
from libpod.model.volume import VolumeConfig, VolumeState

T = TypeVar("T", bound=msgspec.Struct)

_EXTRA = "extra"
_making = threading.Lock()


class Codec(Generic[T]):
    """Both directions for one record type."""

    def __init__(self, record_type: type[T]) -> None:
        self._type = record_type
        self._encoder = msgspec.json.Encoder()
        self._keeps_unknown = _EXTRA in record_type.__struct_fields__
        self._made: msgspec.json.Decoder[T] | None = None

    def encode(self, record: T) -> bytes:
        """Compact JSON for ourselves: unknown keys lie under the empty name, where `decode` finds them again."""
        return self._encoder.encode(record)

    def decode(self, data: bytes) -> T:
        """The record in *data*, which this library wrote; raises StateStoreError."""
        try:
            return (self._made or self._decoder()).decode(data)
        except msgspec.MsgspecError as error:
            raise StateStoreError(
                f"a stored {self._type.__name__} cannot be read: {error}",
                resolution="run system check, or remove the object it belongs to",
            ) from error

    def _decoder(self) -> msgspec.json.Decoder[T]:
        """Made when it is first needed, for a listing needs two of ten, and by one thread alone."""
        with _making:
            if self._made is None:
                self._made = msgspec.json.Decoder(self._type)
            return self._made

    def to_document(self, record: T) -> dict[str, Any]:
        """The record as a JSON object, with the unknown keys it came with."""
        document: dict[str, Any] = msgspec.to_builtins(record)
        if self._keeps_unknown:
            document.pop("", None)
            document.update(getattr(record, _EXTRA))
        return document

    def from_document(self, document: dict[str, Any]) -> T:
        """The record in a JSON object that somebody else wrote; raises msgspec.ValidationError."""
        known: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        fields = self._type.__struct_encode_fields__
        lower = {name.lower(): name for name in fields}
        self._decoder()
        for key, value in document.items():
            name = key if key in fields else lower.get(key.lower())
            if name is None or name == "":
                unknown[key] = value
            elif value is not None and (name == key or name not in document):
                known[name] = _without_nulls(value)
        record = msgspec.convert(known, self._type)
        return (
            msgspec.structs.replace(record, **{_EXTRA: unknown})
            if self._keeps_unknown and unknown
            else record
        )


def _without_nulls(value: Any) -> Any:
    """Go reads a null as "leave the zero value": drop such keys wherever they are."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


CONTAINER_CONFIG = Codec(ContainerConfig)
CONTAINER_SUMMARY = Codec(ContainerSummary)
CONTAINER_STATE = Codec(ContainerState)
EXIT_RECORD = Codec(ExitRecord)
EXEC_SESSION = Codec(ExecSession)
POD_CONFIG = Codec(PodConfig)
POD_STATE = Codec(PodState)
VOLUME_CONFIG = Codec(VolumeConfig)
VOLUME_STATE = Codec(VolumeState)
EVENT = Codec(Event)
