"""Offline kits: what a device needs, put together on a workstation with a network. See docs/kit.md."""
