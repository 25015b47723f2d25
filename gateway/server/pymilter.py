"""pymilter's C module, if it is there and has what is needed.  The one place that imports it."""

from __future__ import annotations

from typing import Any

from gateway.errors import ConfigurationError

# Calls and constants since pymilter 1.0 on a libmilter of Sendmail 8.14: negotiation, and lists
# of macros.
_NEEDED = (
    "M_CONNECT",
    "NOREPLY",
    "P_NR_CONN",
    "SETSYMLIST",
    "error",
    "main",
    "register",
    "set_exception_policy",
    "setbacklog",
    "setconn",
    "settimeout",
)
_ADVICE = (
    "install the Debian package python3-milter, or pymilter of PyPI with"
    ' pip install pymilter; or set library = "builtin" in [milter], which needs nothing'
)
_OPTION = "milter.library"


def load() -> Any:
    """The module; raises ConfigurationError, which says what to install."""
    try:
        import milter  # noqa: PLC0415  (it may be missing)
    except ImportError as error:
        problem = f"pymilter cannot be loaded ({error}); {_ADVICE}"
        raise ConfigurationError(problem, option=_OPTION) from error
    missing = [name for name in _NEEDED if not hasattr(milter, name)]
    if missing:
        problem = (
            f"this pymilter has no {', '.join(missing)}: it is too old, or was built with too old"
            f" a libmilter; {_ADVICE}"
        )
        raise ConfigurationError(problem, option=_OPTION)
    return milter
