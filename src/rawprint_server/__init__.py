"""A thin WebSocket server that gives web pages what the library rawprint gives programs."""
