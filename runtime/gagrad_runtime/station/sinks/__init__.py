"""Who is told of a station's results: a webhook, an MQTT broker. See docs/watch.md."""
