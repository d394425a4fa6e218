"""SMPP 3.4 without I/O: what stands on the wire, and how texts are coded in it. Both sides use it: the driver and the
sandbox.

Why a codec of our own: the driver must know of each submit whether it certainly did not leave, was answered, or may
have been taken, and it acknowledges a receipt only when that is on the disk. Tried on the npm package ``smpp`` as the
SMSC (2026-11-25):

- smpp34 1.5.0 answers each deliver_sm within milliseconds, before anybody has read it, so a crash loses it; a link that
  is cut under a submit is reported as ESME_RSYSERR, as if the SMSC had said so; a refused bind hangs until a time-out.
- aiosmpplib 0.7.4 keeps a queue and a correlator of its own; a receipt with ``err:0A5`` or a date of twelve digits ends
  its session unacknowledged; of a submit whose link is cut, and of a refused bind, nobody hears: it binds again.
- smpplib 2.2.4 is LGPL, blocking, and tears escape pairs and surrogate pairs apart.
"""
