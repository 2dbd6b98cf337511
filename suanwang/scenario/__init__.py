"""Example worlds: sites, tenants, links and jobs from one YAML file."""
