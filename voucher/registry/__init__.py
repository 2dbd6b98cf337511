"""Organisations and their ties, contracts, invoices and bank receipts, with their history."""
