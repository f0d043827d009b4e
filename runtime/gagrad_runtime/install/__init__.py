"""Puts a kit on a device. Standard library only: it runs from the kit's own wheel, before anything is there.

Each version stands whole in a folder of its own, and one link, ``current``, says which is in use. The link
is replaced in one step after the new version has passed its self-test, so an installation that is cut off
anywhere leaves the old version or the new one, and never half of each. See docs/kit.md.
"""
