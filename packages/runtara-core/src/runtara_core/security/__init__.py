"""Who may call: tokens of instances, keys of tenants and operators, and what is kept of both."""

from runtara_core.security.api_keys import ApiKeyRecord, IssuedApiKey, Principal, issue_api_key
from runtara_core.security.credentials import MAX_ACTIVE_API_KEYS, CredentialStore
from runtara_core.security.exposure import require_key_when_exposed
from runtara_core.security.instance_tokens import InstanceToken, TokenSecret, TokenSecrets
from runtara_core.security.key_ring import KeyRing
from runtara_core.security.token_authority import TokenAuthority

__all__ = [
    "MAX_ACTIVE_API_KEYS",
    "ApiKeyRecord",
    "CredentialStore",
    "InstanceToken",
    "IssuedApiKey",
    "KeyRing",
    "Principal",
    "TokenAuthority",
    "TokenSecret",
    "TokenSecrets",
    "issue_api_key",
    "require_key_when_exposed",
]
