"""Run the stand-in for Google on its own: `python -m include.sandbox.google --port 8088`."""

from __future__ import annotations

import argparse
import contextlib

from include.sandbox.google.server import KEY, Google


def main() -> None:
    """Serve until interrupted; print the settings that make the geocoders use it."""
    parser = argparse.ArgumentParser(
        prog="python -m include.sandbox.google",
        description="Google's Geocoding and Address Validation APIs on this machine.",
        epilog="GET /_calls counts the calls. POST /_control takes JSON: "
        '{"fault": "429", "times": 3, "retry_after": 2}, {"latency": 0.1}, {"reset": true}.',
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    parser.add_argument("--key", action="append", help=f"accept this key; may be repeated; default: {KEY}")
    parser.add_argument("--latency", type=float, default=0, help="seconds before each answer")
    options = parser.parse_args()
    with Google(options.port, options.key or [KEY], options.latency) as google, contextlib.suppress(KeyboardInterrupt):
        print(f"GOOGLE_API_KEY={min(google.keys)}")
        print(f"GOOGLE_GEOCODING_URL={google.geocoding_url}")
        print(f"GOOGLE_ADDRESS_VALIDATION_URL={google.validation_url}", flush=True)
        google.serve_forever()


if __name__ == "__main__":
    main()
