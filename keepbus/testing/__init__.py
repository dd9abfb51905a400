"""For tests of services, ours and other people's: playbooks for machines, a simulated wire, namespaces."""
