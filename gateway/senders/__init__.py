"""Our own look at who sent a mail: DKIM, DMARC and SPF, through DNS. Needs the extra ``mailauth``."""
