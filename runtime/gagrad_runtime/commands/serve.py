"""``gagrad-edge serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gagrad_edge.cli import Command, say
from gagrad_edge.errors import SettingError
from gagrad_runtime.commands.options import device_options, good_options, trust_option

if TYPE_CHECKING:
    from gagrad_runtime.service.models import Catalogue


@click.command(cls=Command, section="device", short_help="Answer programs on the Open Inference Protocol.")
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--queue", type=click.IntRange(1, 1000), default=8, show_default=True, help="Most requests that wait."
)
@click.option(
    "--max-mb", type=click.IntRange(1, 1024), default=64, show_default=True, help="Most MiB of a request."
)
@click.option("--name", multiple=True, help="Another name of this server, of a proxy before it; for each.")
@click.option("--certificate", type=click.Path(path_type=Path), help="The server's certificate, PEM.")
@click.option("--key", type=click.Path(path_type=Path), help="Its key, PEM.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the token that clients send.")
@good_options
@device_options
@trust_option
def serve(
    bundles: tuple[Path, ...],
    host: str,
    port: int,
    name: tuple[str, ...],
    queue: int,
    max_mb: int,
    certificate: Path | None,
    key: Path | None,
    token_file: Path | None,
    good: Path | bool | None,
    device: str,
    threads: int | None,
    trust: Path | None,
) -> None:
    """Serve each BUNDLE to programs: predictions, maps and explanations (docs/service.md).

    For a bundle called NAME there are the models NAME.predict, NAME.saliency and NAME.explain of the Open
    Inference Protocol, version 2; a version is the bundle's hash. Other devices are answered only with TLS
    and a token. A request that would wait too long is refused at once. Ctrl-C or SIGTERM ends it cleanly.

    Example: gagrad-edge serve part.gagrad
    """
    from gagrad_runtime.service.running import Where, run_service  # noqa: PLC0415 - --help stays fast
    from gagrad_runtime.web.server import Tls  # noqa: PLC0415

    if (certificate is None) != (key is None):
        raise SettingError("TLS needs a certificate and its key", where="certificate, key", hint="give both")
    tls = Tls(certificate, key) if certificate is not None and key is not None else None

    def ready(address: str, catalogue: Catalogue) -> None:
        say(f"{address}/v2 serves {', '.join(catalogue.names)}; Ctrl-C ends it", err=True)

    run_service(
        bundles,
        Where(host, port, tls, token_file, name),
        device=device,
        threads=threads,
        trust=trust,
        good=good,
        queue=queue,
        largest_mb=max_mb,
        ready=ready,
    )
