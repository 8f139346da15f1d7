/* Files that are in memory alone, for code that reads a file by its name. */
#ifndef RW_TESTS_FUZZ_FILE_H
#define RW_TESTS_FUZZ_FILE_H

#include <stddef.h>

#define FUZZ_FILES 4

/* Writes the file number `which` anew and lends its name. */
const char *fuzz_file(unsigned which, const void *text, size_t size);

#endif
