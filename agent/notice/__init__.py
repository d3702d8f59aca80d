"""Telling people on the spot of critical alarms that nobody upstream has.

    stored events ─▶ Unheard ─▶ compose ─▶ Webhook | Mail
                     what no uplink has delivered in time

It is a second way, not a part of the first: it reads nothing from the journal, and an alarm waits for it nowhere.
"""
