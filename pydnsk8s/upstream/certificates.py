"""How encrypted upstreams prove who they are, and we to them: by files that may be replaced while we run."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydnsk8s import log
from pydnsk8s.files import Files

_LOG = log.plugin("forward")
_PROTOCOLS = {"https": ["h2"]}  # what is offered by ALPN (RFC 7301)


class Certificates(Mapping[str, ssl.SSLContext]):
    """The TLS settings for each scheme, made from the files as they are at each connecting; for ``Terms.contexts``.

    Raises OSError for files that cannot be used. Replaced ones that cannot be are logged, and those before go on.
    """

    def __init__(
        self,
        schemes: Collection[str],
        cert: Path | None = None,
        key: Path | None = None,
        authority: Path | None = None,
    ) -> None:
        self._schemes = tuple(schemes)
        self._cert = cert
        self._key = key
        self._authority = authority
        self._files = Files(filter(None, (cert, key, authority)))
        self._contexts = self._load()

    def _load(self) -> dict[str, ssl.SSLContext]:
        return {scheme: self._context(_PROTOCOLS.get(scheme, [])) for scheme in self._schemes}

    def _context(self, protocols: list[str]) -> ssl.SSLContext:
        # Host names are checked, and the system's authorities trusted if there are no others.
        context = ssl.create_default_context(cafile=self._authority)
        if self._cert is not None:
            # An encrypted key is refused rather than asked for at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def __getitem__(self, scheme: str) -> ssl.SSLContext:
        if self._files.changed():
            try:
                self._contexts = self._load()
            except OSError as error:
                why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
                _LOG.warning("cannot load the new certificates: %s; going on with those from before", why or error)
        return self._contexts[scheme]

    def __iter__(self) -> Iterator[str]:
        return iter(self._schemes)

    def __len__(self) -> int:
        return len(self._schemes)
