"""Variables of the runner."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtara_sdk.settings import EnvironmentReader

from runtara_environment.runners.oci.pasta import DNS_VARIABLE, PastaSettings


@dataclass(frozen=True, slots=True)
class OciSettings:
    """Variables of the runner.

    Attributes:
        runtime: `auto`, a name or a path (RUNTARA_OCI_RUNTIME).
        use_systemd: systemd makes the control groups (USE_SYSTEMD_CGROUP).
        pasta: of networks with translation.
    """

    runtime: str = "auto"
    use_systemd: bool = False
    pasta: PastaSettings = field(default_factory=PastaSettings)

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> OciSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            runtime=reader.text("RUNTARA_OCI_RUNTIME", "auto"),
            use_systemd=reader.boolean("USE_SYSTEMD_CGROUP", default=False),
            pasta=PastaSettings.from_text(reader.optional_text(DNS_VARIABLE)),
        )
