/* See machine.h: the kernel's UUID of this start, its two halves folded into one (122 of its bits are random). */
#include "core/machine.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define DIGITS  32

static unsigned digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a') + 10;
}

int machine_start(uint64_t *ret_machine)
{
	char text[64];
	uint64_t halves[2] = { 0 };
	unsigned digits = 0;
	const int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	const ssize_t size = read(fd, text, sizeof text);
	close(fd);
	for (ssize_t i = 0; i < size && digits < DIGITS; i++) {
		if (!isxdigit((unsigned char)text[i]))
			continue;
		halves[digits * 2 / DIGITS] = halves[digits * 2 / DIGITS] << 4 | digit(text[i]);
		digits++;
	}
	if (digits < DIGITS)
		return -EBADMSG;
	*ret_machine = (halves[0] ^ halves[1]) != 0 ? halves[0] ^ halves[1] : 1;
	return 0;
}
