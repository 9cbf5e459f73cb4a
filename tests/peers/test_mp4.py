"""Parts of MP4 files: the same bytes as nginx makes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.harness.mp4 import anything
from tests.harness.server import Server

CONF = """
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location / { mp4; }
        location /key/ { alias %DIR%/; mp4; mp4_start_key_frame on; }
    }
}
"""


def test_parts(pair: Callable[..., tuple[Server, Server]]) -> None:
    random = Random(7)
    files = {}
    for number in range(40):
        data = bytearray(anything(random))
        if number % 2:  # spoil the tables of samples, but not those of sizes, where nginx may promise more than it sends
            at = data.find(random.choice((b"stts", b"stsc", b"stss", b"ctts", b"tkhd", b"mdhd"))) + 4
            data[at + random.randrange(24)] ^= 1 << random.randrange(8)
        files[f"{number}.mp4"] = bytes(data)
    nginx, geng = pair(CONF, files=files, alerts=True)  # nginx has some to say of empty tables
    cut = 0
    for name in files:
        for _ in range(5):
            start = random.choice(("", f"start={random.randint(0, 2000) / 1000}"))
            end = random.choice(("", f"&end={random.randint(0, 2000) / 1000}"))
            target = f"{random.choice(('', '/key'))}/{name}?{start}{end}"
            theirs, ours = nginx.get(target), geng.get(target)
            assert (ours.status, ours.body) == (theirs.status, theirs.body), target
            cut += ours.status == 200
    assert cut > 100
