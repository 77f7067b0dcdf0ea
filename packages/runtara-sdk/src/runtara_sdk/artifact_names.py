"""Names of the files that artifacts carry for those who ask what is in them; also known where no artifact is read."""

from __future__ import annotations

BILL_OF_MATERIALS_NAME = "runtara-sbom.cdx.json"
"""The CycloneDX bill of materials: in a `python` archive, and in the workflow layer of a native artifact."""
