"""One connection to one etcd server: calls, a watch, and the login they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from pydnsk8s.etcd.access import Access, EtcdError
from pydnsk8s.etcd.stubs import etcd_pb2 as pb

PATIENCE = 5.0  # seconds for one call, as CoreDNS and ExternalDNS have it
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # 4 MB otherwise, which a page of large values exceeds
    ("grpc.use_local_subchannel_pool", 1),  # or a new connection inherits the pause after another one's failure
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.enable_http_proxy", 0),
    # A watch may be silent for minutes: only a ping tells that from a server which is gone. etcd allows one every 5 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_STALE = ("auth token", "auth store", "user name is empty")  # etcd has no status of its own for these

Metadata = tuple[tuple[str, str], ...]
Told = TypeVar("Told", bound=Message)


class Client:
    """Talks to one endpoint, with ``patience`` seconds for a call; ``async with`` closes it.

    Every method raises EtcdError.
    """

    def __init__(self, access: Access, endpoint: str, patience: float = PATIENCE) -> None:
        self.endpoint = endpoint
        self._patience = patience
        self._access = access
        self._logging_in = asyncio.Lock()
        self._metadata: Metadata | None = None
        """What every call carries: the token of a login; None before it."""
        target = access.target(endpoint)
        if access.encrypted(endpoint):
            credentials = grpc.ssl_channel_credentials(*access.certificates())
            self._channel = grpc.aio.secure_channel(target, credentials, _OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(target, _OPTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def range(self, start: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0) -> pb.RangeResponse:
        """The pairs from ``start`` up to before ``end``, or the one of just that key, at a revision or as they are."""
        request = pb.RangeRequest(key=start, range_end=end, limit=limit, revision=revision)
        return await self._call("KV/Range", request, pb.RangeResponse)

    async def header(self, start: bytes, end: bytes) -> pb.ResponseHeader:
        """Which cluster this is, and its revision now."""
        request = pb.RangeRequest(key=start, range_end=end, count_only=True)
        return (await self._call("KV/Range", request, pb.RangeResponse)).header

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Write one pair; the revision it was written at."""
        request = pb.PutRequest(key=key, value=value, lease=lease)
        return (await self._call("KV/Put", request, pb.PutResponse)).header.revision

    async def delete(self, key: bytes) -> bool:
        """Delete one pair; whether it was there."""
        request = pb.DeleteRangeRequest(key=key)
        return (await self._call("KV/DeleteRange", request, pb.DeleteRangeResponse)).deleted > 0

    async def lease(self, lease: int) -> int:
        """Seconds that a lease has left; negative if it has ended."""
        request = pb.LeaseTimeToLiveRequest(ID=lease)
        return (await self._call("Lease/LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse)).TTL

    @asynccontextmanager
    async def watch(self, start: bytes, end: bytes, revision: int) -> AsyncIterator[AsyncIterable[pb.WatchResponse]]:
        """Everything that changes from this revision on; ended by etcd with a response that is ``canceled``."""
        method = self._channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        create = pb.WatchCreateRequest(key=start, range_end=end, start_revision=revision, progress_notify=True)
        # A member that has lost the others would be silent for ever, so it is told to hang up.
        stream = method(metadata=(*await self._log_in(), ("hasleader", "true")))
        try:
            await stream.write(pb.WatchRequest(create_request=create))
            yield stream
        except grpc.aio.AioRpcError as error:
            raise self._error(error.details()) from None
        except asyncio.InvalidStateError:  # it had ended before it could be written to
            raise self._error(await stream.details()) from None
        except DecodeError as error:
            raise self._error(f"not what etcd says: {error}") from None
        finally:
            stream.cancel()

    async def _call(self, path: str, request: Message, kind: type[Told]) -> Told:
        try:
            try:
                return await self._send(path, request, kind, await self._log_in())
            except grpc.aio.AioRpcError as error:
                if not self._access.user or not _is_stale(error):
                    raise
            # The token has run out, or users or roles were changed since: only logging in again helps.
            self._metadata = None
            return await self._send(path, request, kind, await self._log_in())
        except grpc.aio.AioRpcError as error:
            raise self._error(error.details()) from None
        except DecodeError as error:
            raise self._error(f"not what etcd says: {error}") from None

    async def _log_in(self) -> Metadata:
        """What a call has to carry."""
        async with self._logging_in:  # one login is enough for calls made at once
            if self._metadata is None:
                self._metadata = await self._token() if self._access.user else ()
            return self._metadata

    async def _token(self) -> Metadata:
        request = pb.AuthenticateRequest(name=self._access.user, password=self._access.password)
        try:
            return (("token", (await self._send("Auth/Authenticate", request, pb.AuthenticateResponse, ())).token),)
        except grpc.aio.AioRpcError as error:
            if "not enabled" not in (error.details() or ""):
                raise self._error(error.details()) from None
            return ()  # where nobody has to log in, everybody may go on

    async def _send(self, path: str, request: Message, kind: type[Told], metadata: Metadata) -> Told:
        method: Callable[..., Awaitable[Told]] = self._channel.unary_unary(
            f"/etcdserverpb.{path}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        return await method(request, timeout=self._patience, metadata=metadata)

    def _error(self, details: str | None) -> EtcdError:
        return EtcdError(f"{self.endpoint}: {details or 'the connection broke'}")


def _is_stale(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call was refused because of who we were taken for."""
    details = error.details() or ""
    return error.code() is grpc.StatusCode.UNAUTHENTICATED or any(words in details for words in _STALE)
