"""WebSockets for clients: realtime sessions (`/v1/realtime`) and many chat requests over one socket (`/v1/ws`)."""
