"""The way to the platform: MQTT sessions, what is sent next, settlement, and projections of the present."""
