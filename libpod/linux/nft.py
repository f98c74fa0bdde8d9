"""nft scripts, run in this process by libnftables or, where that library is missing, by the nft program.

A script is one transaction: all of it or nothing. It acts on the network namespace of the calling thread. The
library saves the start of a process; it is what nft itself is made of, so both speak the same language.
"""

from __future__ import annotations

import ctypes
import functools
import threading

from libpod.define.errors import CommandError
from libpod.linux.process import require_program, run

_JSON = 1 << 4
_LOCK = threading.Lock()


def run_nft(script: str, *, json: bool = False) -> str:
    """Run *script* and return what it printed, as JSON on demand; CommandError when nft refuses it."""
    library = _library()
    if library is None:
        return _run_program(script, json=json)
    with _LOCK:  # parser and lexer of older versions keep global state
        context = library.nft_ctx_new(0)
        try:
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            library.nft_ctx_output_set_flags(context, _JSON if json else 0)
            result = library.nft_run_cmd_from_buffer(context, script.encode())
            output: bytes = library.nft_ctx_get_output_buffer(context)
            errors: bytes = library.nft_ctx_get_error_buffer(context)
        finally:
            library.nft_ctx_free(context)
    if result != 0:
        raise CommandError(argv=("nft", "-f", "-"), returncode=result, stderr=_first_error(errors.decode()))
    return output.decode()


def _run_program(script: str, *, json: bool) -> str:
    program = require_program(
        "nft", purpose="translate addresses and publish ports", resolution="install nftables"
    )
    result = run([program, *(["-j"] if json else []), "-f", "-"], stdin=script.encode())
    return result.stdout.decode()


def _first_error(text: str) -> str:
    """The lines that say what is wrong, without the script that nft repeats below them."""
    lines = [line for line in text.splitlines() if "rror" in line]
    return "\n".join(reversed(lines[:3])) or text


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        return None
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
        getattr(library, name).restype = ctypes.c_char_p
    return library
