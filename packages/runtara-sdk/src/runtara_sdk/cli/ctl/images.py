"""Images: registered, listed, shown, deleted."""

from __future__ import annotations

from pathlib import Path

import click

from runtara_sdk.cli.ctl.target import ask, common_options, print_done, print_id, print_json, print_lines, wants_json
from runtara_sdk.cli.text import table
from runtara_sdk.iso_time import iso_time


@click.command()
@click.option("--binary", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", required=True, help="Owner of the image.")
@click.option("--name", required=True, help="Name of the image.")
@click.option("--description", help="Free text.")
@click.option("--runner", type=click.Choice(["native", "oci"]), default="native", help="What is to run it.")
@common_options
def register(binary: Path, tenant: str, name: str, description: str | None, runner: str) -> None:
    """Upload an artifact as an image; prints the image id.

    \b
    Example:
      runtara-ctl register --binary order.bin --tenant acme --name order
    """
    from runtara_sdk.management import RunnerType

    image = ask(
        lambda sdk: sdk.register_image_stream(
            tenant, name, binary, description=description, runner_type=RunnerType(runner)
        )
    )
    if image.warning is not None:
        click.echo(f"warning: {image.warning}", err=True)
    print_id(image, image.image_id)


@click.command("list-images")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@common_options
def list_images(tenant: str | None, limit: int) -> None:
    """List images.

    \b
    Example:
      runtara-ctl list-images --tenant acme
    """
    page = ask(lambda sdk: sdk.list_images(tenant, limit=limit))
    if wants_json():
        print_json(page)
        return
    rows = [
        (item.image_id, item.name, item.tenant_id, item.runner_type.value, iso_time(item.created_at_ms))
        for item in page.images
    ]
    print_lines(table(("IMAGE", "NAME", "TENANT", "RUNNER", "CREATED"), rows))


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
    print_json(ask(lambda sdk: sdk.get_image(image_id, tenant)))


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
