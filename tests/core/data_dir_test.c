/* core/data_dir: what is kept from one start to the next (spec 2, data directory). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/data_dir.h"

static char parent[] = "/tmp/ringwheel-data-XXXXXX";
static char path[64], error[512];
static struct data_dir d;

static void make_parent(void)
{
	cr_assert_not_null(mkdtemp(parent));
	snprintf(path, sizeof path, "%s/data", parent);
}

static void in_path(const char *name, char *out)
{
	snprintf(out, 128, "%s/%s", path, name);
}

static void remove_parent(void)
{
	static const char *const names[] = { "secret", "boot", "lock", "secret.new", "boot.new" };
	char file[128];

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		in_path(names[i], file);
		unlink(file);
	}
	rmdir(path);
	rmdir(parent);
}

TestSuite(data_dir, .init = make_parent, .fini = remove_parent);

static void write_file(const char *name, const char *text, mode_t mode)
{
	char file[128];

	in_path(name, file);
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, mode);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static mode_t mode_of(const char *name)
{
	char file[128];
	struct stat st;

	in_path(name, file);
	cr_assert_eq(stat(file, &st), 0);
	return st.st_mode & 07777;
}

Test(data_dir, is_made_with_a_secret_that_nobody_else_reads)
{
	umask(022);
	cr_assert_eq(data_dir_open(path, &d, error), 0, "%s", error);
	cr_assert_eq(mode_of(""), 0750);
	cr_assert_eq(mode_of("secret"), 0600);
	cr_assert_eq(d.boot, 1);
	data_dir_close(&d);
}

Test(data_dir, keeps_its_secret_and_counts_the_starts)
{
	uint8_t secret[32];

	cr_assert_eq(data_dir_open(path, &d, error), 0);
	memcpy(secret, d.secret, sizeof secret);
	data_dir_close(&d);
	for (unsigned boot = 2; boot < 5; boot++) {
		cr_assert_eq(data_dir_open(path, &d, error), 0);
		cr_assert_eq(d.boot, boot);
		cr_assert_arr_eq(d.secret, secret, sizeof secret);
		data_dir_close(&d);
	}
}

Test(data_dir, another_directory_has_another_secret)
{
	uint8_t secret[32];

	cr_assert_eq(data_dir_open(path, &d, error), 0);
	memcpy(secret, d.secret, sizeof secret);
	data_dir_close(&d);
	remove_parent();
	cr_assert_eq(mkdir(parent, 0700), 0);
	cr_assert_eq(data_dir_open(path, &d, error), 0);
	cr_assert_arr_neq(d.secret, secret, sizeof secret);
	data_dir_close(&d);
}

/* RFC 3261 8.1.1.4 wants Call-IDs unique over restarts: 0 is never a boot number. */
Test(data_dir, the_boot_number_wraps_past_zero)
{
	cr_assert_eq(mkdir(path, 0750), 0);
	write_file("boot", "65535\n", 0600);
	cr_assert_eq(data_dir_open(path, &d, error), 0);
	cr_assert_eq(d.boot, 1);
	data_dir_close(&d);
}

Test(data_dir, serves_one_node_at_a_time)
{
	struct data_dir second;

	cr_assert_eq(data_dir_open(path, &d, error), 0);
	cr_assert_eq(data_dir_open(path, &second, error), -EBUSY);
	cr_assert_not_null(strstr(error, "another ringwheel"));
	data_dir_close(&d);
	cr_assert_eq(data_dir_open(path, &second, error), 0);
	cr_assert_eq(second.boot, 2, "the refused start was not counted");
	data_dir_close(&second);
}

/* Who takes the file for one that a dead node has left, and removes it, makes no second node of it. */
Test(data_dir, serves_one_node_at_a_time_also_without_its_lock_file)
{
	struct data_dir second;
	char file[128];

	cr_assert_eq(data_dir_open(path, &d, error), 0);
	in_path("lock", file);
	cr_assert_eq(unlink(file), 0);
	cr_assert_eq(data_dir_open(path, &second, error), -EBUSY);
	cr_assert_not_null(strstr(error, "another ringwheel"));
	data_dir_close(&d);
	cr_assert_eq(data_dir_open(path, &second, error), 0);
	cr_assert_eq(second.boot, 2, "the refused start was not counted");
	data_dir_close(&second);
}

Test(data_dir, a_secret_that_others_may_read_is_refused)
{
	cr_assert_eq(mkdir(path, 0750), 0);
	write_file("secret", "01234567890123456789012345678901", 0640);
	cr_assert_eq(data_dir_open(path, &d, error), -EPERM);
	cr_assert_not_null(strstr(error, "0600"));
}

Test(data_dir, a_secret_of_another_size_is_refused)
{
	static const char *const wrong[] = { "", "0123456789012345678901234567890",
					     "012345678901234567890123456789012" };

	cr_assert_eq(mkdir(path, 0750), 0);
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		write_file("secret", wrong[i], 0600);
		cr_assert_eq(data_dir_open(path, &d, error), -EINVAL);
	}
}

Test(data_dir, a_damaged_boot_number_is_refused)
{
	static const char *const wrong[] = { "", "\n", "0\n", "65536\n", "-1\n", "12", "x\n", "99999999999999\n" };

	cr_assert_eq(mkdir(path, 0750), 0);
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		write_file("boot", wrong[i], 0600);
		cr_assert_eq(data_dir_open(path, &d, error), -EINVAL, "\"%s\" was taken", wrong[i]);
		cr_assert_not_null(strstr(error, "boot"));
		cr_assert_not_null(strstr(error, "write the last start's number"));
	}
}

/* A start that died while it wrote leaves a temporary file behind. */
Test(data_dir, what_a_dead_start_left_is_no_obstacle)
{
	cr_assert_eq(mkdir(path, 0750), 0);
	write_file("secret.new", "half", 0644);
	write_file("boot.new", "", 0644);
	cr_assert_eq(data_dir_open(path, &d, error), 0, "%s", error);
	cr_assert_eq(mode_of("secret"), 0600);
	data_dir_close(&d);
}
