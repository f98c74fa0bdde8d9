"""The processor's features that a program may have chosen code by."""

from __future__ import annotations

from pathlib import Path

_FAMILIES = (
    "sse", "ssse", "avx", "fma", "bmi", "aes", "pclmul", "popcnt", "movbe", "f16c", "xsave", "sha_ni", "adx", "rdrand",
    "rdseed", "abm", "vaes", "vpclmul", "gfni", "amx", "pku", "fsgsbase", "lahf", "cx16", "asimd", "sve", "atomics",
)  # fmt: skip


def features() -> tuple[str, ...]:
    """Names of instruction sets, as the kernel calls them, sorted; empty where it tells none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return tuple(sorted(word for word in set(value.split()) if word.startswith(_FAMILIES)))
    return ()
