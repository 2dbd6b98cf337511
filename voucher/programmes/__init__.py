"""Voucher programmes (算力券政策) as data: what a policy says, and what it grants to whom.

A programme is a YAML file in the shape of ``schema.Policy``; no city has code of its own. Deciding
is pure: ``award.assess`` answers one application, ``rounds.decide`` answers many that compete for a
pool, ``redeem.redeem`` answers a payment on a claim. Nothing here reads a clock or a database.
"""
