"""
Google's Geocoding and Address Validation APIs on this machine, over real HTTP.

    with serving() as google:           # or: python -m include.sandbox.google --port 8088
        google.geocoding_url            # GOOGLE_GEOCODING_URL
        google.validation_url           # GOOGLE_ADDRESS_VALIDATION_URL
        google.fail("OVER_QUERY_LIMIT", times=2)
        google.calls                    # every call that arrived, with its key and time

Both speak as Google documents them; the US is answered from the data of the
offline geocoder, some places elsewhere from a table. What it cannot tell: what
the real Address Validation API answers to a bare postcode.
"""

from include.sandbox.google.calls import Call
from include.sandbox.google.faults import KINDS, Fault
from include.sandbox.google.server import KEY, Google, serving

__all__ = ["KEY", "KINDS", "Call", "Fault", "Google", "serving"]
