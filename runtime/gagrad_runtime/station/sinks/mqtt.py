"""MQTT sink: each event is published at QoS 1, and the broker's PUBACK acknowledges it.

The client has a fixed id and a persistent session. ``gagrad-edge/STATION/status`` says ``online`` or, by the
broker when the station is gone, ``offline``; both are retained.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gagrad_edge.errors import MissingPackageError, SettingError
from gagrad_runtime.station.config import secret
from gagrad_runtime.station.sinks.sink import UndeliveredError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gagrad_runtime.station.config import MqttTable
    from gagrad_runtime.station.events import StationEvent


class Mqtt:
    """The broker at ``table.host``. Raises SettingError and MissingPackageError."""

    name = "mqtt"

    def __init__(self, table: MqttTable, station: str) -> None:
        try:
            import aiomqtt  # noqa: PLC0415 - of the extra `station`
        except ImportError as error:
            hint = 'pip install "gagrad-edge[station]"'
            raise MissingPackageError(f"MQTT needs aiomqtt ({error})", hint=hint) from error
        self.table = table
        self._library = aiomqtt
        self._station = station
        self._password = secret(table.password_file, table.password_env, what="[mqtt]")
        self._context: ssl.SSLContext | None = None
        if table.tls:
            try:
                self._context = ssl.create_default_context(cafile=table.ca)
            except OSError as error:
                raise SettingError(f"the certificates cannot be read ({error})", where="[mqtt] ca") from error
        try:
            self._topic("status")
        except (KeyError, IndexError, ValueError) as error:
            raise SettingError(
                f"the topic {table.topic!r} cannot be filled in ({error})",
                where="[mqtt] topic",
                hint="{station} and {event} are filled in",
            ) from error

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[_Broker]:
        """Connect to the broker. Raises UndeliveredError, also when the connection breaks later."""
        table = self.table
        # A topic without {event} gets JSON only, so the status has a topic of its own.
        suffix = "" if "{event}" in table.topic else "/status"
        status = self._topic("status") + suffix
        # paho logs errors that it raises too; once is enough.
        silent = logging.getLogger("gagrad_runtime.station.mqtt_client")
        silent.setLevel(logging.CRITICAL)
        client = self._library.Client(
            table.host,
            table.port or (8883 if table.tls else 1883),
            username=table.username,
            password=self._password,
            identifier=table.client_id or f"gagrad-edge-{self._station}",
            clean_session=False,
            will=self._library.Will(status, b"offline", qos=1, retain=True),
            tls_context=self._context,
            timeout=table.timeout,
            logger=silent,
        )
        try:
            async with client:
                await client.publish(status, b"online", qos=1, retain=True)
                yield _Broker(client, self)
                await client.publish(status, b"offline", qos=1, retain=True)
        except (self._library.MqttError, OSError, asyncio.TimeoutError) as error:
            raise UndeliveredError(f"the broker {table.host} cannot be reached ({error})") from error

    def topic_of(self, event: StationEvent) -> str:
        """Return the topic that ``event`` is published to."""
        return self._topic(event.kind)

    def _topic(self, kind: str) -> str:
        return self.table.topic.format(station=self._station, event=kind)


class _Broker:
    def __init__(self, client: Any, sink: Mqtt) -> None:
        self._client = client
        self._sink = sink

    async def send(self, event: StationEvent, body: bytes) -> None:
        """Publish ``body``, and return at the broker's PUBACK.

        ``Mqtt.connected`` turns the client's errors into UndeliveredError.
        """
        await self._client.publish(self._sink.topic_of(event), body, qos=1)
