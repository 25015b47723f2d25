"""gateway.toml: declarations, loading and reference.

`load` gives the checked `Settings` or raises `ConfigurationErrors` with every
problem of the file at once.  One declaration a setting (see `declaration`)
drives the parser, gateway.toml(5) and the commented example.
"""

from __future__ import annotations

from gateway.daemon.settings.admin import AdminSettings
from gateway.daemon.settings.errors import ConfigurationErrors
from gateway.daemon.settings.general import GeneralSettings
from gateway.daemon.settings.loader import load, loads, read
from gateway.daemon.settings.logging import LoggingSettings
from gateway.daemon.settings.milter import MilterSettings
from gateway.daemon.settings.model import Settings
from gateway.daemon.settings.policy import PolicySettings
from gateway.daemon.settings.scope import ScopeSettings
from gateway.daemon.settings.socketmap import SocketmapSettings
from gateway.daemon.settings.store import CyrusSettings

__all__ = [
    "AdminSettings",
    "ConfigurationErrors",
    "CyrusSettings",
    "GeneralSettings",
    "LoggingSettings",
    "MilterSettings",
    "PolicySettings",
    "ScopeSettings",
    "Settings",
    "SocketmapSettings",
    "load",
    "loads",
    "read",
]
