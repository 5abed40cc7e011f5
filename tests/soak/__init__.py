"""The soak: thousands of trios through real processes, HTTP and WebSocket, with faults, kills and pauses."""
