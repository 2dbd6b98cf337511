"""Settings: one tree for every process, read from flags, the environment and two files.

The first that names a value wins: flags, environment (``SUANWANG_SERVER__PORT``), the project file
``./suanwang.yaml`` (or the one that ``--config`` or ``SUANWANG_CONFIG`` names), the user's file
``~/.config/suanwang/config.yaml``, defaults. An unknown key is an error, wherever it stands.
"""

from suanwang.settings.layers import Loaded, load
from suanwang.settings.tree import (
    AgentSettings,
    AlertSettings,
    ClientSettings,
    ExecutorSettings,
    LogSettings,
    PolicySettings,
    RemoteWriteSettings,
    SchedulerSettings,
    ServerSettings,
    Settings,
)

__all__ = [
    "AgentSettings",
    "AlertSettings",
    "ClientSettings",
    "ExecutorSettings",
    "Loaded",
    "LogSettings",
    "PolicySettings",
    "RemoteWriteSettings",
    "SchedulerSettings",
    "ServerSettings",
    "Settings",
    "load",
]
