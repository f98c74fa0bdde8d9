"""Text in columns, as Go's tabwriter sets it for podman: cells of at least 12 characters, two spaces between."""

from __future__ import annotations

from collections.abc import Sequence

MINIMUM = 12
PADDING = 2


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows, one a line. The last cell of a row is not padded; rows may have different lengths."""
    widths: list[int] = []
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            width = max(MINIMUM, len(cell) + PADDING)
            if column == len(widths):
                widths.append(width)
            else:
                widths[column] = max(widths[column], width)
    return "\n".join(
        "".join(cell.ljust(widths[column]) for column, cell in enumerate(row[:-1])) + (row[-1] if row else "")
        for row in rows
    )
