"""A kubeconfig file: which server, which authority, which user; checked first, so that errors name file and field."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import yaml
from msgspec import Struct, field

from pydnsk8s.kube.login import KEEP_ALIVE, AccessError, Login, TokenFile, bearing, check_certificates


class _Cluster(Struct, rename="kebab"):
    server: str
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None


class _Command(Struct, rename="camel"):
    command: str
    api_version: str


class _User(Struct, rename="kebab"):
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = field(default=None, name="tokenFile")
    exec: _Command | None = None


class _Context(Struct):
    cluster: str
    user: str = ""


class _NamedCluster(Struct):
    name: str
    cluster: _Cluster


class _NamedUser(Struct):
    name: str
    user: _User


class _NamedContext(Struct):
    name: str
    context: _Context


class _File(Struct, rename="kebab"):
    clusters: list[_NamedCluster]
    contexts: list[_NamedContext]
    users: list[_NamedUser] | None = None
    current_context: str = ""


class _Named(Protocol):
    name: str


_FILES = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})
_N = TypeVar("_N", bound=_Named)


def log_in(file: Path, context: str | None = None) -> Login:
    """The server and the user of the file's context, or of its current one; AccessError for what cannot be used."""
    cluster, user, name = _chosen(file, context)
    for place, structure in ((f"cluster of {name}", cluster), (f"user of {name}", user)):
        for problem in _problems(structure, file.parent):
            raise AccessError(f"{file}: {place}: {problem}")
    return _enter(file, name, user)


def _chosen(file: Path, context: str | None) -> tuple[_Cluster, _User, str]:
    try:
        content = msgspec.convert(yaml.safe_load(file.read_bytes()), _File)
    except yaml.MarkedYAMLError as error:
        # Not in PyYAML's own words, which show the line: it may hold a token.
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise AccessError(f"cannot use {file}: {error.problem}{place}") from None
    except (OSError, msgspec.ValidationError, ValueError, LookupError, yaml.YAMLError, RecursionError) as error:
        raise AccessError(f"cannot use {file}: {error}") from None
    name = context or content.current_context
    if not name:
        raise AccessError(f"{file}: current-context is missing, and no context was asked for")
    chosen = _find(file, "contexts", content.contexts, name).context
    cluster = _find(file, "clusters", content.clusters, chosen.cluster).cluster
    user = _find(file, "users", content.users or [], chosen.user).user if chosen.user else _User()
    return cluster, user, name


def _find(file: Path, field: str, entries: Sequence[_N], name: str) -> _N:
    for entry in entries:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in entries) or "none"
    raise AccessError(f"{file}: {field} has no {name!r}; it has {known}")


def _problems(structure: _Cluster | _User, folder: Path) -> Iterator[str]:
    """What is wrong with the files and the data that the fields name."""
    for name, value in msgspec.to_builtins(structure).items():
        if not isinstance(value, str):
            continue
        if name.endswith("-data"):
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error as error:
                yield f"{name} is not base64: {error}"
        elif name in _FILES and not os.access(folder / value, os.R_OK):
            yield f"{name}: cannot read {folder / value}"


def _enter(file: Path, context: str, user: _User) -> Login:
    # The package brings what only it knows: login commands, their expiry, proxies, data in place of files.
    try:
        from kubernetes.client import Configuration
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config import ConfigException, load_kube_config
    except ImportError as error:
        raise AccessError(f"cannot use {file}: {error}; pip install 'pydnsk8s[kubernetes]'") from None

    settings = Configuration()
    settings.socket_options = KEEP_ALIVE
    try:
        load_kube_config(  # type: ignore[no-untyped-call]  # kubernetes types its models only
            str(file), context, settings, persist_config=False
        )
    except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise AccessError(f"cannot use {file}: {error}") from None
    try:
        check_certificates(settings.cert_file, settings.key_file, settings.ssl_ca_cert)
    except AccessError as error:
        raise AccessError(f"{file}: {error}") from None  # data in the file is a file of another name by now
    if user.exec is not None and not settings.api_key and not settings.cert_file:
        raise AccessError(f"{file}: user of {context}: the command {user.exec.command!r} gave no credentials")

    def renewed() -> Mapping[str, str]:
        try:
            value = settings.get_api_key_with_prefix("BearerToken", "authorization")
        except (ConfigException, OSError, ValueError) as error:
            raise AccessError(f"cannot renew the credentials of {file}: {error}") from None
        return bearing(value, str(file)) if value else {}

    headers = TokenFile(file.parent / user.token_file).headers if user.token_file else renewed
    return Login(settings.host, RESTClientObject(settings).pool_manager, headers, f"as {context} of {file}")
