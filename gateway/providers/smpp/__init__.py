"""``driver: smpp``: a connection that is kept, one submit_sm for each part of an SMS, receipts as deliver_sm."""
