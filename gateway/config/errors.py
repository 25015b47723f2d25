"""All problems of one configuration, at once."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import ConfigurationError


class ConfigurationErrors(ConfigurationError):
    """A configuration that cannot be used, with every reason; `str` has one line each.

    `errors` are in the order of the file, where they come from a file.
    """

    def __init__(self, errors: Sequence[ConfigurationError], *, file: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(each) for each in errors), file=file)

    def __str__(self) -> str:
        return self.problem
