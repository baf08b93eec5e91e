# SPDX-License-Identifier: Apache-2.0
"""Configuration: the options, where they come from, and the values they are made of."""

from sdnctl.config.advertise import advertised
from sdnctl.config.options import (
    OPTIONS,
    SECTIONS,
    Config,
    ConfigError,
    Option,
    default_admin_token_file,
    default_database,
    show,
    state_directory,
)
from sdnctl.config.sources import CONFIG_VARIABLE, Setting, load, settings
from sdnctl.config.values import AuthMode, Endpoint, IdRange, PhysicalMtu, Target, VlanRange

__all__ = [
    "CONFIG_VARIABLE",
    "OPTIONS",
    "SECTIONS",
    "AuthMode",
    "Config",
    "ConfigError",
    "Endpoint",
    "IdRange",
    "Option",
    "PhysicalMtu",
    "Setting",
    "Target",
    "VlanRange",
    "advertised",
    "default_admin_token_file",
    "default_database",
    "load",
    "settings",
    "show",
    "state_directory",
]
