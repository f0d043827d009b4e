"""A small RTSP server for tests: H.264 over RTP over TCP (RFC 2326, 6184), one moving picture for all.

python rtsp_server.py PORT [still]        (a process of its own, to be killed, stopped and continued)
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np

SIZE = (96, 128)
RATE = 10
_PACKET = 1200
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n"
)


def serve(port: int, *, still: bool = False) -> None:
    """Answer for ever."""
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            client, _ = server.accept()
            threading.Thread(target=_talk, args=(client, still), daemon=True).start()


def _talk(client: socket.socket, still: bool) -> None:
    reader = client.makefile("rb")
    try:
        while request := _request(reader):
            method, headers = request
            extra, body = [], ""
            if method == "OPTIONS":
                extra = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"]
            elif method == "DESCRIBE":
                extra, body = ["Content-Type: application/sdp"], _SDP
            elif method == "SETUP":
                extra = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
            elif method == "PLAY":
                extra = ["Session: 1"]
            lines = ["RTSP/1.0 200 OK", f"CSeq: {headers.get('cseq', '0')}", *extra]
            lines += [f"Content-Length: {len(body)}", "", body]
            client.sendall("\r\n".join(lines).encode())
            if method == "PLAY":
                _play(client, still)
    except OSError:
        pass
    finally:
        client.close()


def _request(reader: Any) -> tuple[str, dict[str, str]] | None:
    first = reader.readline().decode("latin1").split(" ")
    headers = {}
    while line := reader.readline().decode("latin1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return (first[0], headers) if first[0] else None


def _play(client: socket.socket, still: bool) -> None:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = SIZE
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, RATE)
    # A hanging sensor behind a working encoder: each picture by itself, so that all decode to the same bits.
    keys = 1 if still else 5
    parameters = f"keyint={keys}:repeat-headers=1"
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "x264-params": parameters}
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (*SIZE, 3), np.uint8)
    sequence = number = 0
    while True:
        if not still:
            picture = np.roll(picture, 3, axis=1)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        for packet in encoder.encode(frame):
            for payload, last in _payloads(bytes(packet)):
                stamp = number * 90_000 // RATE & 0xFFFFFFFF
                header = struct.pack(">BBHII", 0x80, 96 | last << 7, sequence & 0xFFFF, stamp, 1)
                data = header + payload
                client.sendall(b"$\0" + struct.pack(">H", len(data)) + data)
                sequence += 1
        number += 1
        time.sleep(1 / RATE)


def _payloads(stream: bytes) -> list[tuple[bytes, bool]]:
    """Split an access unit into RTP payloads: whole NAL units, or fragments of them (FU-A)."""
    units = [unit for unit in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= _PACKET:
            payloads.append(unit)
            continue
        indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F
        parts = [unit[begin : begin + _PACKET] for begin in range(1, len(unit), _PACKET)]
        for index, part in enumerate(parts):
            flags = (index == 0) << 7 | (index == len(parts) - 1) << 6
            payloads.append(bytes([indicator, flags | kind]) + part)
    return [(payload, index == len(payloads) - 1) for index, payload in enumerate(payloads)]


if __name__ == "__main__":
    serve(int(sys.argv[1]), still="still" in sys.argv[2:])
