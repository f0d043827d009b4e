"""The installer of offline kits. Standard library only: it runs before any package is installed.

Each version is complete in a folder of its own, and the link ``current`` names the version in use. The link
is replaced in one step after the new version has passed its self-test, so an interrupted installation leaves
the old version or the new one in use, never a mixture. See docs/kit.md.
"""
