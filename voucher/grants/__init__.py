"""The life of a voucher: applications, their review, the award, and what comes after it."""
