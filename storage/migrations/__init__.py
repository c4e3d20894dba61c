"""Schema revisions, run by ``storage.database.upgrade``; see docs/decisions/0004-storage.md."""
