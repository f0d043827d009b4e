"""The viewer: a receiver of stations' events with a database of its own, and the pages that people look at.

It knows a station by its messages alone: it opens neither the station's index nor its folder, and a station
never waits for it longer than for any other receiver. See docs/viewer.md and docs/adr/0033.
"""
