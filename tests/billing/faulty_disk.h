/* A disk that fails when told to: a layer over SQLite's own file access. */
#ifndef RW_TESTS_BILLING_FAULTY_DISK_H
#define RW_TESTS_BILLING_FAULTY_DISK_H

#include <stdint.h>

/* Every database opened from now on is on the faulty disk, which works until told otherwise. */
void faulty_disk_install(void);
/* The `nth` write or sync from now (1: the next) and all after it fail with this result of SQLite. */
void faulty_disk_fail(uint64_t nth, int code);
void faulty_disk_heal(void);
/* Writes and syncs so far. */
uint64_t faulty_disk_writes(void);

#endif
