"""GStreamer's RTSP server, for the camera's fault test: /usr/bin/python3 gstreamer_server.py PORT.

Runs in the system's Python, which has Debian's python3-gi and gir1.2-gst-rtsp-server-1.0.
"""

# mypy: ignore-errors
from __future__ import annotations

import sys

import gi

gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - after the version is chosen

_PIPELINE = (
    "( videotestsrc is-live=true pattern=snow ! video/x-raw,width=640,height=480,framerate=15/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)


def main() -> None:
    """Serve for ever."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_PIPELINE)
    factory.set_shared(True)
    server.get_mount_points().add_factory("/line", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
