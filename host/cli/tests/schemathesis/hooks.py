"""What Schemathesis does not know by itself."""

import schemathesis


@schemathesis.serializer("application/wasm")
def as_it_is(ctx, value):
    """A package is sent as its bytes."""
    return value if isinstance(value, bytes) else str(value).encode()
