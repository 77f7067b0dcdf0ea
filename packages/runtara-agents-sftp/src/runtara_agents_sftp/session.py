"""One SFTP session: TCP, through a jump host or not, SSH with a checked host key, and the SFTP channel."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentError

from runtara_agents_sftp.bounded_socket import BoundedSocket
from runtara_agents_sftp.failures import AUTH_FAILED, CONNECTION_ERROR, HANDSHAKE_ERROR, SESSION_ERROR, TIMEOUT
from runtara_agents_sftp.keys import TrustedHostKeys, read_private_key
from runtara_agents_sftp.parameters import HostParameters, SftpParameters

if TYPE_CHECKING:
    import paramiko

    from runtara_agents_sftp.wire import WireClient

_OTHER_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512")
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what goes wrong is told by the errors of the calls

_WINDOW_BYTES = 16 * 1024 * 1024
_PACKET_BYTES = 64 * 1024


class SftpSession:
    """An open session; used by one call at a time.

    Attributes:
        parameters: of its connection.
        client: the library's client.
        used_at: when it was given back, by `time.monotonic`.
    """

    def __init__(self, parameters: SftpParameters) -> None:
        self.parameters = parameters
        self.used_at = time.monotonic()
        self._transports: list[paramiko.Transport] = []
        try:
            self.client = self._open()
        except BaseException:
            self.close()
            raise
        self.root: str | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the connection has not been seen to break."""
        channel = self.client.get_channel()
        return channel is not None and not channel.closed and all(each.is_active() for each in self._transports)

    def close(self) -> None:
        """Close all connections; nothing is raised."""
        for transport in reversed(self._transports):
            transport.close()

    def _open(self) -> WireClient:
        import paramiko

        from runtara_agents_sftp.wire import WireClient

        parameters = self.parameters
        seconds = parameters.connect_timeout_ms / 1000
        through: Any = None
        if parameters.jump_host is not None:
            jump = self._entered(parameters.jump_host, None, seconds)
            target = (parameters.host, parameters.port)
            try:
                through = jump.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=seconds)
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise _unreachable(parameters, f"the jump host does not get there: {_reason(error)}") from None
        transport = self._entered(parameters, through, seconds)
        try:
            channel = transport.open_session(window_size=_WINDOW_BYTES, max_packet_size=_PACKET_BYTES, timeout=seconds)
            channel.settimeout(seconds)
            channel.invoke_subsystem("sftp")
            client = WireClient(channel, seconds, parameters.progress_timeout_ms / 1000)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise AgentError.transient(
                SESSION_ERROR,
                f"{parameters.host} does not open an SFTP session: {_reason(error)}",
                attributes={"host": parameters.host},
            ) from None
        if parameters.keepalive_s:
            transport.set_keepalive(parameters.keepalive_s)
        return client

    def _entered(self, host: HostParameters, through: Any, seconds: float) -> paramiko.Transport:
        """A transport into a host: host key checked, user authenticated."""
        trusted = TrustedHostKeys(host)
        kinds: list[tuple[str, ...]] = [trusted.kinds]
        if trusted.has_fingerprints_only and through is None:
            kinds = [(kind,) for kind in _OTHER_KINDS]
        refusal: AgentError | None = None
        for wanted in kinds:
            transport = self._handshaken(host, through, wanted, seconds, may_lack=len(kinds) > 1)
            if transport is None:
                continue
            try:
                trusted.check(transport.get_remote_server_key())
            except AgentError as error:
                refusal = error
                transport.close()
                continue
            self._transports.append(transport)
            _authenticate(transport, host, seconds)
            return transport
        raise refusal or _no_handshake(host, "it has no host key of a kind that is known here")

    def _handshaken(
        self, host: HostParameters, through: Any, kinds: tuple[str, ...], seconds: float, *, may_lack: bool
    ) -> paramiko.Transport | None:
        import paramiko

        sock = through
        if sock is None:
            try:
                sock = socket.create_connection((host.host, host.port), timeout=seconds)
            except (OSError, UnicodeError) as error:
                raise _unreachable(host, _reason(error)) from None
            _bound_sending(sock, self.parameters.progress_timeout_ms)
        transport = None
        try:
            bounded: Any = BoundedSocket(sock, self.parameters.progress_timeout_ms / 1000)
            transport = paramiko.Transport(
                bounded, default_window_size=_WINDOW_BYTES, default_max_packet_size=_PACKET_BYTES
            )
            transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = seconds
            options = transport.get_security_options()
            options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)  # several times as fast
            if kinds:
                options.key_types = [kind for kind in kinds if kind in options.key_types]
            transport.start_client(timeout=seconds)
            transport.get_remote_server_key()  # raises when the time is over: the line above does not
        except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
            if transport is not None:
                transport.close()
            else:
                sock.close()
            if may_lack and "no acceptable host key" in str(error).lower():
                return None
            raise _no_handshake(host, _reason(error)) from None
        return transport


def _bound_sending(sock: socket.socket, milliseconds: int) -> None:
    """Have the system break a connection that takes nothing any more: the library waits for its socket without end."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _authenticate(transport: paramiko.Transport, host: HostParameters, seconds: float) -> None:
    import paramiko

    transport.auth_timeout = seconds
    try:
        wanted: list[str] = []
        if host.private_key is not None:
            wanted = transport.auth_publickey(host.username, read_private_key(host.private_key, host.passphrase))
        if host.private_key is None or (host.password and "password" in wanted):  # some servers want both
            transport.auth_password(host.username, host.password or "")
        if not transport.is_authenticated():
            raise paramiko.AuthenticationException("the server wants more than that")
    except paramiko.AuthenticationException as error:
        reason = _reason(error)
        if "saw EOF" in reason or "timeout" in reason.lower():  # the library calls this a refusal, too
            raise _unreachable(host, f"the connection broke while it was entered: {reason}") from None
        raise AgentError.permanent(
            AUTH_FAILED,
            f"{host.host} refuses {host.username!r} with this {host.auth_method}: {_reason(error)}",
            attributes={"username": host.username, "auth_method": host.auth_method},
        ) from None
    except TimeoutError:
        raise AgentError.transient(
            TIMEOUT, f"{host.host} did not answer in time", attributes={"host": host.host}
        ) from None
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _unreachable(host, _reason(error)) from None


def _unreachable(host: HostParameters, reason: str) -> AgentError:
    return AgentError.transient(
        CONNECTION_ERROR,
        f"{host.host}:{host.port} cannot be reached: {reason}",
        attributes={"host": host.host, "port": host.port},
    )


def _no_handshake(host: HostParameters, reason: str) -> AgentError:
    return AgentError.transient(
        HANDSHAKE_ERROR,
        f"{host.host}:{host.port} does not complete the SSH handshake: {reason}",
        attributes={"host": host.host},
    )


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
