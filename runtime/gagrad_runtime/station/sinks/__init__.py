"""Receivers of a station's events: a webhook, an MQTT broker. See docs/watch.md."""
