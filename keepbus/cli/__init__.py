"""The `keepbus` command: one file per verb."""
