"""Where the postcodes lie that the stand-in knows."""

from __future__ import annotations

from dataclasses import dataclass

from include.medallion.geocoders import offline
from include.medallion.geocoders.location import Status
from include.medallion.geocoders.postcodes import normalise, system_of


@dataclass(frozen=True)
class Place:
    """A postcode's centre, degrees (WGS 84)."""

    country: str
    postcode: str
    latitude: float
    longitude: float

    @property
    def place_id(self) -> str:
        """An identifier in the style of Google's, the same for the same place."""
        return f"ChIJ-{self.country}-{self.postcode.replace(' ', '')}"


_ELSEWHERE = {
    ("AU", "3000"): (-37.8142, 144.9632),
    ("CA", "K1A 0B1"): (45.4248, -75.6950),
    ("CA", "K4B 1T7"): (45.3659, -75.2976),
    ("CA", "T2P 2G8"): (51.0497, -114.0582),
    ("DE", "10115"): (52.5321, 13.3847),
    ("DE", "14111"): (52.4230, 13.1750),
    ("FR", "75001"): (48.8640, 2.3310),
    ("GB", "BA5 3HX"): (51.2167, -2.6167),
    ("GB", "SW1A 1AA"): (51.5010, -0.1416),
    ("NL", "1012 JS"): (52.3731, 4.8925),
}


def find(country: str, postcode: str) -> Place | None:
    """Look a postcode up as Google would: in any spelling; None if there is none."""
    key = normalise(country, postcode)
    if key is None:
        return None
    location = offline.locate(*key) if system_of(key[0]) == "US" else None
    if location and location.status is Status.OK:
        return Place(*key, location.latitude, location.longitude)
    return Place(*key, *_ELSEWHERE[key]) if key in _ELSEWHERE else None
