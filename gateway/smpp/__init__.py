"""SMPP 3.4 without I/O: what stands on the wire, and how texts are coded in it. Both sides use it: the driver and the
sandbox.

Why a codec of our own: the driver must know of each submit whether it certainly did not leave, was answered, or may
have been taken, and it acknowledges a receipt only when that is on the disk. smpp34 1.5 acknowledges each deliver_sm
before anybody has seen it, and aiosmpplib 0.7 keeps a queue and a correlator of its own, and its receipt parser raises
for dates of twelve digits and for errors such as ``0A5``. smpplib is LGPL, blocking, and tears escape pairs and
surrogate pairs apart.
"""
