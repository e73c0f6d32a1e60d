"""How one WebSocket connection speaks: one module an accent."""
