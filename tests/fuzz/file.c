#include "tests/fuzz/file.h"

#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

const char *fuzz_file(unsigned which, const void *text, size_t size)
{
	static struct {
		int fd;
		char name[32];
	} files[FUZZ_FILES];

	assert(which < FUZZ_FILES);
	if (!files[which].fd) {
		files[which].fd = memfd_create("fuzz", MFD_CLOEXEC);
		assert(files[which].fd > 0);
		snprintf(files[which].name, sizeof files[which].name, "/proc/self/fd/%d", files[which].fd);
	}
	int cut = ftruncate(files[which].fd, 0);
	ssize_t written = pwrite(files[which].fd, text, size, 0);
	assert(cut == 0 && written == (ssize_t)size);
	(void)cut, (void)written;
	return files[which].name;
}
