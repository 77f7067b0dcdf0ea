"""Who may have capabilities tested, and what such a test reaches where there are keys."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from runtara_sdk import PermissionDeniedError, UnauthenticatedError

from .running_platform import running_platform, until


async def test_a_tenant_tests_for_itself_and_reaches_no_private_network(tmp_path: Path) -> None:
    async with running_platform(tmp_path, with_keys=True, agent_testing=True) as platform:
        key = await platform.key("tenant-a")
        with pytest.raises(UnauthenticatedError):
            await platform.management(None).test_capability("utils", "random-double")
        sdk = platform.management(key)

        async def is_known() -> bool:
            # The environment may have read its keys before this one was made.
            with suppress(UnauthenticatedError):
                await sdk.list_images()
                return True
            return False

        await until(is_known, "the key of the tenant")
        for options in ({}, {"tenant_id": "tenant-a"}):
            result = await sdk.test_capability("transform", "array-length", {"value": [1]}, **options)
            assert (result.success, result.output) == (True, {"length": 1, "is_array": True})
        with pytest.raises(PermissionDeniedError):
            await sdk.test_capability("transform", "array-length", {"value": [1]}, tenant_id="tenant-b")
        host, port = platform.environment_address.rsplit(":", 1)
        refused = await sdk.test_capability("http", "http-request", {"url": f"http://{host}:{port}/"})
        assert refused.error is not None
        assert refused.error.code == "HTTP_ADDRESS_REFUSED"
