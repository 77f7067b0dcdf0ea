"""Countries by name."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_ALIASES = {
    "usa": "US",
    "united states": "US",
    "america": "US",
    "uk": "GB",
    "united kingdom": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "russia": "RU",
    "south korea": "KR",
    "north korea": "KP",
    "iran": "IR",
    "syria": "SY",
    "vietnam": "VN",
    "laos": "LA",
    "bolivia": "BO",
    "venezuela": "VE",
    "tanzania": "TZ",
    "moldova": "MD",
    "czech republic": "CZ",
    "czechia": "CZ",
    "ivory coast": "CI",
    "cape verde": "CV",
    "swaziland": "SZ",
    "macedonia": "MK",
    "burma": "MM",
    "holland": "NL",
    "the netherlands": "NL",
    "uae": "AE",
    "emirates": "AE",
    "taiwan": "TW",
    "palestine": "PS",
    "vatican": "VA",
    "turkey": "TR",
    "brunei": "BN",
    "micronesia": "FM",
    "congo": "CG",
    "dr congo": "CD",
    "democratic republic of the congo": "CD",
    "deutschland": "DE",
    "osterreich": "AT",
    "schweiz": "CH",
    "suisse": "CH",
    "espana": "ES",
    "italia": "IT",
    "brasil": "BR",
    "polska": "PL",
    "sverige": "SE",
    "norge": "NO",
    "danmark": "DK",
    "suomi": "FI",
    "kosovo": "XK",
}


def country_codes(name: str) -> tuple[str, str] | None:
    """The codes (two and three letters) of the country that a name means; small mistakes are forgiven."""
    from runtara_agents_transform.text_format.plain import edit_distance

    wanted = _plain(name)
    if not wanted:
        return None
    known = _known()
    found = known.get(wanted)
    if found is not None or len(wanted) > 100:
        return found
    allowed = max(3, len(wanted) // 4)
    near = [(edit_distance(wanted, each), each) for each in known if abs(len(each) - len(wanted)) <= allowed]
    distance, best = min(near, default=(allowed + 1, ""))
    # Of short names nearly all are near to another one.
    return known[best] if distance <= min(allowed, len(wanted) // 2) else None


@lru_cache(maxsize=1)
def _known() -> dict[str, tuple[str, str]]:
    import iso3166

    by_code = {country.alpha2: (country.alpha2, country.alpha3) for country in iso3166.countries}
    by_code.setdefault("XK", ("XK", "XKX"))
    known = {_plain(alias): by_code[code] for alias, code in _ALIASES.items() if code in by_code}
    for country in iso3166.countries:
        codes = by_code[country.alpha2]
        for name in (country.name, country.apolitical_name, country.name.partition(",")[0].partition("(")[0]):
            known.setdefault(_plain(name), codes)
    for country in iso3166.countries:
        known.setdefault(country.alpha2.lower(), by_code[country.alpha2])
        known.setdefault(country.alpha3.lower(), by_code[country.alpha2])
    return known


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return " ".join("".join(each if each.isalnum() else " " for each in text).split())
