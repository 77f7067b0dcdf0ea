"""The agent `text`."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_transform.text_format import encodings, patterns, plain

__all__ = ["text_agent"]

text_agent = AgentDefinition(
    id="text",
    name="Text",
    description="Changes, splits, searches and compares texts.",
    category="data",
    capabilities=[
        plain.render_template,
        plain.trim_normalize,
        plain.case_conversion,
        plain.find_replace,
        plain.extract_first_line,
        plain.extract_first_word,
        plain.split,
        plain.split_join,
        plain.join,
        plain.collapse_expand_lines,
        plain.remove_characters,
        plain.substring_extraction,
        plain.slugify,
        plain.hash_text,
        encodings.as_byte_array,
        encodings.from_base64,
        encodings.to_base64,
        patterns.regex_replace,
        patterns.regex_match,
        patterns.regex_test,
        patterns.regex_split,
        plain.pad_text,
        plain.truncate_text,
        plain.wrap_text,
        patterns.extract_numbers,
        patterns.extract_emails,
        patterns.extract_urls,
        plain.compare_text,
        patterns.count_occurrences,
    ],
)
