"""First-party drivers: one package per accelerator family."""
