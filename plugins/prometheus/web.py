"""The web configuration file that Prometheus's exporters share, as far as it concerns TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

import yaml

from pydnsk8s.files import Files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_FILES = ("cert_file", "key_file", "client_ca_file")
_KEYS = (*_FILES, "client_auth_type", "min_version")

T = TypeVar("T")


class Web:
    """The TLS settings of a file, made anew when it or a file that it names is replaced.

    ValueError says what in it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.context = self._read()
        """As they were last good."""

    def look(self) -> bool:
        """Read the files again if they have changed; whether they were. ValueError leaves all as it was."""
        if not self._files.changed():
            return False
        self.context = self._read()
        return True

    def _read(self) -> ssl.SSLContext:
        path = self._path
        try:
            settings = _settings(yaml.safe_load(path.read_bytes()))
            # File names are relative to the folder of the file they stand in.
            self._files = Files((path, *(path.parent / settings[key] for key in _FILES if key in settings)))
            return _context(settings, path.parent)
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"cannot read {path}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _settings(document: object) -> dict[str, str]:
    match document:
        case {"tls_server_config": dict(settings), **others}:
            pass
        case _:
            raise ValueError("expected a section tls_server_config")
    for section in others:
        raise ValueError(f"{section} is not supported, only tls_server_config is")
    for key, value in settings.items():
        if key not in _KEYS:
            raise ValueError(f"{key} is not supported; valid in tls_server_config: {', '.join(_KEYS)}")
        if type(value) is not str:
            raise ValueError(f"{key}: expected text, found {value!r}")
    for key in ("cert_file", "key_file"):
        if key not in settings:
            raise ValueError(f"tls_server_config has no {key}")
    return settings


def _context(settings: dict[str, str], folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _choice(settings, "min_version", _VERSIONS, "TLS12")
    context.verify_mode = _choice(settings, "client_auth_type", _CLIENT_AUTH, "NoClientCert")
    certificate, key = folder / settings["cert_file"], folder / settings["key_file"]
    try:
        # The empty password makes an encrypted key an error; without one OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot use {certificate} with {key}: {error}") from None
    if context.verify_mode is not ssl.CERT_NONE:
        if "client_ca_file" not in settings:
            raise ValueError(f"client_auth_type {settings['client_auth_type']} needs a client_ca_file")
        authority = folder / settings["client_ca_file"]
        try:
            context.load_verify_locations(authority)
        except OSError as error:
            raise ValueError(f"cannot use client_ca_file {authority}: {error}") from None
    return context


def _choice(settings: dict[str, str], key: str, choices: Mapping[str, T], default: str) -> T:
    choice = settings.get(key, default)
    if choice not in choices:
        raise ValueError(f"{key}: expected one of {', '.join(choices)}, found {choice!r}")
    return choices[choice]
