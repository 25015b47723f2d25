"""gateway.toml: declarations, loading and reference.

`load` gives the checked `Settings` or raises `ConfigurationErrors` with every
problem of the file at once.  One declaration a setting (see `declaration`)
drives the parser, gateway.toml(5) and the commented example.
"""

from __future__ import annotations

from gateway.config.loader import load, loads
from gateway.config.model import Settings
from gateway.config.sources import read
from gateway.config.tables.admin import AdminSettings
from gateway.config.tables.general import GeneralSettings
from gateway.config.tables.logging import LoggingSettings
from gateway.config.tables.milter import MilterSettings
from gateway.config.tables.policy import PolicySettings
from gateway.config.tables.scope import ScopeSettings
from gateway.config.tables.socketmap import SocketmapSettings
from gateway.config.tables.store import CyrusSettings
from gateway.errors import ConfigurationErrors

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
