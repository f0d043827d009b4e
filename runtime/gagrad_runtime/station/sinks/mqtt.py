"""An MQTT broker: each event is published at QoS 1, and the broker's PUBACK acknowledges it.

The client keeps one identity and no clean session. ``gagrad-edge/STATION/status`` says ``online`` or, by the
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
    from gagrad_runtime.station.outbox import Letter


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
        """Connect. Raises UndeliveredError, also when the connection breaks later."""
        table = self.table
        # A topic without {event} is for events only: "online" is no JSON.
        apart = "" if "{event}" in table.topic else "/status"
        status = self._topic("status") + apart
        # paho's own log, at the level of errors, repeats what is raised.
        quiet = logging.getLogger("gagrad_runtime.station.mqtt_client")
        quiet.setLevel(logging.CRITICAL)
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
            logger=quiet,
        )
        try:
            async with client:
                await client.publish(status, b"online", qos=1, retain=True)
                yield _Broker(client, self)
                await client.publish(status, b"offline", qos=1, retain=True)
        except (self._library.MqttError, OSError, asyncio.TimeoutError) as error:
            raise UndeliveredError(f"the broker {table.host} cannot be reached ({error})") from error

    def topic_of(self, letter: Letter) -> str:
        """Return the topic of an event."""
        return self._topic(str(letter.event.get("event")))

    def _topic(self, event: str) -> str:
        return self.table.topic.format(station=self._station, event=event)


class _Broker:
    def __init__(self, client: Any, sink: Mqtt) -> None:
        self._client = client
        self._sink = sink

    async def send(self, letter: Letter, message: bytes) -> None:
        """Publish it, and return at the broker's PUBACK. ``connected`` turns errors into UndeliveredError."""
        await self._client.publish(self._sink.topic_of(letter), message, qos=1)
