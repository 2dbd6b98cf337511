"""Statements, settlements, programme reports and evidence: what leaves the house about money."""
