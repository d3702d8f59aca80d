"""The receiving side of wardgate: takes its events from a broker, stores each once, and proves what is complete.

For the platform's developers, to use as it is or to read. Needs Python and paho-mqtt, and nothing of the gateway.
"""
