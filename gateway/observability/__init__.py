"""What the gateway tells about itself: log lines, metrics, and the admin listener."""

from __future__ import annotations


def version() -> str:
    """The installed version; of a source tree that is not installed, unknown."""
    # It brings zipfile, csv and email with it, and the supervisor's start has no use for it.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("smmapd")
    except metadata.PackageNotFoundError:
        return "unknown"
