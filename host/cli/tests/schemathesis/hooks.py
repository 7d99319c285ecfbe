"""What Schemathesis does not know by itself."""

import schemathesis


@schemathesis.serializer("application/wasm", "application/x-ndjson")
def as_it_is(ctx, value):
    """Packages and records are sent as their bytes."""
    return value if isinstance(value, bytes) else str(value).encode()
