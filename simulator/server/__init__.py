"""The shell around the exchange: HTTP and WebSocket on loopback, and the control endpoints."""
