/* See file.h.  */
#include "core/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (256u << 20)

static int refuse(int error_number, char reason[static FILE_REASON_MAX])
{
	snprintf(reason, FILE_REASON_MAX, "cannot open: %s", strerror(error_number));
	return -error_number;
}

/* All of an open file whose size is known.  0, or what errno says. */
static int read_all(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t length = read(fd, text + used, size - used);

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length < 0 ? errno : EIO; /* it has become shorter */
		used += (size_t)length;
	}
	return 0;
}

static int read_open(int fd, char **ret_text, char reason[static FILE_REASON_MAX])
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return refuse(errno, reason);
	if (S_ISDIR(status.st_mode))
		return refuse(EISDIR, reason);
	if (!S_ISREG(status.st_mode)) {
		snprintf(reason, FILE_REASON_MAX, "is not a regular file");
		return -EINVAL;
	}
	if (status.st_size > FILE_SIZE_MAX)
		return refuse(EFBIG, reason);
	size_t size = (size_t)status.st_size;
	char *text = malloc(size + 1);
	if (!text)
		return refuse(ENOMEM, reason);
	int result = read_all(fd, text, size);
	if (result) {
		free(text);
		return refuse(result, reason);
	}
	text[size] = '\0';
	for (char *nul = text; (nul = memchr(nul, '\0', size - (size_t)(nul - text)));)
		*nul = 1;
	*ret_text = text;
	return 0;
}

int file_read(const char *file, char **ret_text, char reason[static FILE_REASON_MAX])
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return refuse(errno, reason);
	int result = read_open(fd, ret_text, reason);
	close(fd);
	return result;
}
