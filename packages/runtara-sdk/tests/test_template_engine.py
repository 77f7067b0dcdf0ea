"""Templates reach data, and nothing else of the process; what one makes is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.workflow import template_engine
from runtara_sdk.workflow.template_engine import TemplateProblem, render

DATA: dict[str, Any] = {"text": "abc", "items": [{"name": "a"}, {"name": "b"}], "number": 7}


class Secret:
    """Stands for an object of the run time that got among the data by mistake."""

    token = "s3cret"

    def __call__(self) -> str:
        return self.token

    def __repr__(self) -> str:
        return "an object"


@pytest.mark.parametrize(
    "text",
    [
        "{{ text.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ (text|attr('__class__')).__base__ }}",
        "{{ [text]|map(attribute='__class__')|list }}",
        "{{ [text]|map('attr', '__class__')|list }}",
        "{{ items|sum(attribute='__init__') }}",
        "{{ items|groupby('__class__')|list }}",
        "{{ '{0.__class__}'.format(text) }}",
        "{{ '%(a)s' % {'a': object.token} }}",
        "{{ object.token }}",
        "{{ object['token'] }}",
        "{{ object() }}",
        "{{ [object]|map(attribute='token')|first }}",
        "{{ self._TemplateReference__context }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ dict.fromkeys }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ namespace.__init__.__globals__ }}",
        "{% for item in items %}{{ loop.__class__ }}{{ loop._iterator }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}",
        "{% set space = namespace(a=1) %}{{ space.__class__ }}",
        "{% set items.name = 'x' %}",
        "{{ items.append(1) }}",
        "{{ text.upper() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends '/etc/passwd' %}",
        "{{ ().__class__ }}{{ (1).__class__ }}{{ none.__class__ }}{{ true.__class__ }}",
    ],
)
def test_templates_do_not_get_out_of_the_data(text: str) -> None:
    try:
        made = render(text, {**DATA, "object": Secret()})
    except TemplateProblem:
        return
    for sign in ("class", "method", "function", "s3cret", "root:", "uid=", "0x", "generator", "iterator"):
        assert sign not in made
    assert DATA["items"] == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10000000 }}",
        "{{ 10000000 * [1] }}",
        "{{ 9 ** 999999 }}",
        "{{ '%99999999d' % 1 }}",
        "{{ '%.99999999f' % 1 }}",
        "{{ '%*d' % (99999999, 1) }}",
        "{{ '%(number)9999999999d' % {'number': 1} }}",
        "{{ 'a'|indent(99999999, first=true) }}",
        "{{ range(10000000)|list }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(9999) %}{{ 'a' * 10000 }}{% endfor %}",
    ],
)
def test_what_a_template_makes_is_bounded(text: str) -> None:
    with pytest.raises(TemplateProblem):
        render(text, DATA)


def test_ordinary_formats_and_indents_work() -> None:
    assert render("{{ '%05.2f' % number }}|{{ '%s %s' % (text, number) }}|{{ 9 % 4 }}", DATA) == "07.00|abc 7|1"
    assert render("{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent('> ', first=true) }}", DATA) == "a\n  b|> a\n> b"
    assert template_engine.MAXIMUM_TURNS == 200_000
