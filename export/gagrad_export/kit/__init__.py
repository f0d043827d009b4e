"""Offline kits: all files that a device needs, collected on a workstation with a network; docs/kit.md."""
