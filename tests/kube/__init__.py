"""The API-server edge: connection, reading, binding, telling."""
