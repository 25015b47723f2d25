"""What the gateway tells about itself: log lines, metrics, and the admin listener."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed version; of a source tree that is not installed, unknown."""
    try:
        return metadata.version("smmapd")
    except metadata.PackageNotFoundError:
        return "unknown"
