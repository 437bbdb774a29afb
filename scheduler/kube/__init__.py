"""The API-server edge: connection, list and watch, binder, conditions and events."""
