"""The agent `{{ cookiecutter.name }}`: what the compiler and the listings know of it."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

{% if cookiecutter.connection_type != 'none' %}
from {{ cookiecutter.__module }}.connection import CONNECTION_TYPE
from {{ cookiecutter.__module }}.sending import send_text
{% else %}
from {{ cookiecutter.__module }}.saving import save_text
{% endif %}
from {{ cookiecutter.__module }}.shortening import shorten

{{ cookiecutter.name }}_agent = AgentDefinition(
    id="{{ cookiecutter.name }}",
    name="{{ cookiecutter.__title }}",
    description="{{ cookiecutter.__quoted_description }}",
    capabilities=[shorten, {{ 'send_text' if cookiecutter.connection_type != 'none' else 'save_text' }}],
{% if cookiecutter.connection_type != 'none' %}
    connection_types=[CONNECTION_TYPE],
{% endif %}
)
