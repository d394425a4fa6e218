"""The configuration: YAML files → one immutable, checked ``Configuration``. A reload makes a new one."""
