"""Images: registered, listed, shown, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtara_sdk.cli.ctl.limit_options import limit_options, limits_of
from runtara_sdk.cli.ctl.pages import ListPrinter, page_options, pages
from runtara_sdk.cli.ctl.target import ask, common_options, print_done, print_id, print_json, print_lines, wants_json
from runtara_sdk.cli.text import fields, one_line, table
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.iso_time import iso_time

if TYPE_CHECKING:
    from runtara_sdk.management import ManagementSdk
    from runtara_sdk.management.models import ImageInfo, ImagePage


@click.command()
@click.option("--binary", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", required=True, help="Owner of the image.")
@click.option("--name", required=True, help="Name of the image.")
@click.option("--description", help="Free text.")
@click.option("--runner", metavar="NAME", help="Launch it with this runner alone: oci, native or another one.")
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Signature of the artifact, made by `runtara-ctl sign`.",
)
@limit_options
@common_options
def register(
    binary: Path,
    tenant: str,
    name: str,
    description: str | None,
    runner: str | None,
    signature: Path | None,
    **limits: Any,
) -> None:
    """Upload an artifact as an image; prints the image id.

    Limits hold for every launch of its instances; a start may give others.

    \b
    Examples:
      runtara-ctl register --binary order.bin --tenant acme --name order
      runtara-ctl register --binary order.bin --tenant acme --name order --runner oci --memory 1GiB --cpu 2
    """
    signed = None
    if signature is not None:
        from runtara_sdk.artifact.signing import read_signature

        signed = read_signature(signature)
    image = ask(
        lambda sdk: sdk.register_image_stream(
            tenant, name, binary, description=description, runner=runner, limits=limits_of(limits), signature=signed
        )
    )
    if image.warning is not None:
        click.echo(f"warning: {image.warning}", err=True)
    print_id(image, image.image_id)


@click.command()
@click.argument("artifact", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private Ed25519 key, a PEM file.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the signature goes. [default: ARTIFACT.sig]",
)
def sign(artifact: Path, key: Path, output: Path | None) -> None:
    """Sign the file ARTIFACT for environments that want it; prints the signature file.

    Speaks to no environment: the private key stays on this machine.

    \b
    Example:
      openssl genpkey -algorithm ed25519 -out key.pem
      openssl pkey -in key.pem -pubout -out key.pub.pem
      runtara-ctl sign --key key.pem order.bin
      runtara-ctl register --binary order.bin --signature order.bin.sig --tenant acme --name order
    """
    from runtara_sdk.artifact.signing import encode_signature, sign_artifact

    target = output or artifact.with_name(f"{artifact.name}.sig")
    signature = encode_signature(sign_artifact(artifact, key))
    try:
        target.write_text(signature, encoding="ascii")
    except OSError as error:
        raise InvalidInputError(f"{target} cannot be written: {error.strerror}") from None
    click.echo(target)


@click.command("list-images")
@click.option("--tenant", help="Only of this tenant.")
@page_options
@common_options
def list_images(tenant: str | None, limit: int, page_token: str | None, *, everything: bool) -> None:
    """List images, newest first.

    \b
    Examples:
      runtara-ctl list-images --tenant acme
      runtara-ctl list-images --all --json | jq -r '.images[].name'
    """

    async def listed(sdk: ManagementSdk) -> None:
        async def page_of(size: int, token: str | None) -> ImagePage:
            return await sdk.list_images(tenant, limit=size, page_token=token)

        printer = ListPrinter("images", ("IMAGE", "NAME", "VERSION", "TENANT", "RUNNER", "CREATED"), page_token)
        found = pages(page_of, lambda page: page.images, limit=None if everything else limit, page_token=page_token)
        async for page in found:
            printer.print_page(page, page.images, _cells)
        printer.finish()

    ask(listed)


def _cells(item: ImageInfo) -> tuple[str, ...]:
    return (
        item.image_id,
        item.name,
        str(item.version),
        item.tenant_id,
        item.runner or "",
        iso_time(item.created_at_ms),
    )


@click.command("get-image")
@click.argument("image_id")
@click.argument("tenant")
@common_options
def get_image(image_id: str, tenant: str) -> None:
    """Show the image IMAGE_ID of TENANT.

    \b
    Example:
      runtara-ctl get-image 3f2a acme
    """
    image = ask(lambda sdk: sdk.get_image(image_id, tenant))
    if wants_json():
        print_json(image)
        return
    print_lines(
        fields(
            (
                ("image", image.image_id),
                ("name", image.name),
                ("tenant", image.tenant_id),
                ("description", None if image.description is None else one_line(image.description)),
                ("version", str(image.version)),
                ("sha-256", image.digest),
                ("kind", image.kind),
                ("bytes", str(image.size_bytes)),
                ("signed", "yes" if image.signed else "no"),
                ("runner", image.runner),
                ("created", iso_time(image.created_at_ms)),
            )
        )
    )


@click.command("list-image-versions")
@click.argument("image_id")
@click.argument("tenant")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@click.option("--before", type=click.IntRange(1), metavar="N", help="Only versions before this one.")
@common_options
def list_image_versions(image_id: str, tenant: str, limit: int, before: int | None) -> None:
    """List the versions of the image IMAGE_ID of TENANT, newest first.

    \b
    Example:
      runtara-ctl list-image-versions 3f2a acme
    """
    page = ask(lambda sdk: sdk.list_image_versions(image_id, tenant, limit=limit, before_version=before))
    if wants_json():
        print_json(page)
        return
    rows = [
        (
            f"{item.version} *" if item.current else str(item.version),
            item.digest[:12],
            item.kind,
            str(item.size_bytes),
            "yes" if item.signed else "no",
            iso_time(item.created_at_ms),
            iso_time(item.last_used_at_ms),
        )
        for item in page.versions
    ]
    print_lines(table(("VERSION", "SHA-256", "KIND", "BYTES", "SIGNED", "CREATED", "LAST USED"), rows))


@click.command("delete-image")
@click.argument("image_id")
@click.argument("tenant")
@common_options
def delete_image(image_id: str, tenant: str) -> None:
    """Remove the image IMAGE_ID of TENANT.

    \b
    Example:
      runtara-ctl delete-image 3f2a acme
    """
    ask(lambda sdk: sdk.delete_image(image_id, tenant))
    print_done(image_id, "deleted")
