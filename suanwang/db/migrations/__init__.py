"""Revisions of the database, run by ``suanwang.db.schema``; a released one is never edited."""
