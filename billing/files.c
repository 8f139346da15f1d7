/* CDRs as CSV by the hour: see files.h.
 *
 * A commit: the files of the batch are made sure to stand in `applied` with the length they have, the rows are appended
 * and synced, and then `applied` is replaced by one with the new lengths and position.  A process that dies before that
 * leaves rows behind the lengths, which the next open cuts off.  After any failure nobody knows which of the two
 * `applied` is on the disk, so the sink is opened anew. */
#include "billing/files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "billing/attempts.h"
#include "billing/columns.h"
#include "billing/utf8.h"

#define APPLIED       "applied"
#define APPLIED_NEW   "applied.new"
#define FIRST_LINE    "ringwheel-cdr-files 1\n"
#define NAME_SIZE     15            /* 2026010203.csv and NUL */
#define FILES_KEPT    48            /* in `applied`: those of the last commit, and so many before them */
#define APPLIED_BYTES (1024 * 1024) /* a longer one is none */
#define US_PER_HOUR   INT64_C(3600000000)

#define HEAD_FIRST(name, type) #name
#define HEAD_NEXT(name, type)  "," #name
#define HEAD_LINE              CDR_COLUMNS(HEAD_FIRST, HEAD_NEXT) "\r\n"

struct growing {
	char *at;
	size_t used, size;
};

struct hour_file {
	char name[NAME_SIZE];
	uint64_t length;     /* committed */
	uint64_t new_length; /* by the commit under way */
	bool listed;         /* `applied` on the disk names it with that length */
	struct growing rows; /* of the batch under way */
};

struct files {
	int dir_fd;               /* -1: not open */
	struct hour_file **files; /* in the order of their last use */
	size_t count, room;
	struct sink_position position;

	char error[SINK_ERROR_BYTES];
	char attempts[ATTEMPTS_TEXT_MAX];
	char directory[];
};

static int fail(struct files *f, const char *name, int result)
{
	snprintf(f->error, sizeof(f->error), "%.150s%s%s: %s", f->directory, *name ? "/" : "", name, strerror(-result));
	return result;
}

/* ---- text that grows ---- */

static char *reserve(struct growing *g, size_t more)
{
	if (g->size - g->used < more) {
		const size_t size = (g->used + more) * 2;
		char *at = realloc(g->at, size);
		if (at == NULL)
			return NULL;
		g->at = at;
		g->size = size;
	}
	return g->at + g->used;
}

static bool put(struct growing *g, const char *text, size_t size)
{
	char *at = reserve(g, size);

	if (at == NULL)
		return false;
	memcpy(at, text, size);
	g->used += size;
	return true;
}

static bool put_string(struct growing *g, const char *text)
{
	return put(g, text, strlen(text));
}

static bool put_number(struct growing *g, int64_t number)
{
	char *at = reserve(g, 24);

	if (at == NULL)
		return false;
	g->used += (size_t)snprintf(at, 24, "%" PRId64, number);
	return true;
}

static bool wants_quotes(const char *text, size_t size)
{
	return memchr(text, ',', size) != NULL || memchr(text, '"', size) != NULL || memchr(text, '\n', size) != NULL ||
	       memchr(text, '\r', size) != NULL;
}

/* RFC 4180 2, rules 5 to 7. */
static bool put_field(struct growing *g, const char *text, size_t size)
{
	if (size == 0 || !wants_quotes(text, size))
		return put(g, text, size);
	char *at = reserve(g, 2 * size + 2);
	if (at == NULL)
		return false;
	char *to = at;
	*to++ = '"';
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '"')
			*to++ = '"';
		*to++ = text[i];
	}
	*to++ = '"';
	g->used += (size_t)(to - at);
	return true;
}

static bool put_text(struct growing *g, struct cdr_text text)
{
	const size_t size = text.size < CDR_TEXT_MAX ? text.size : CDR_TEXT_MAX;
	char clean[CDR_TEXT_MAX];

	utf8_copy(clean, text.at, size);
	return put_field(g, clean, size);
}

/* ---- a row ---- */

static bool put_attempts(struct files *f, struct growing *g, const struct cdr *cdr)
{
	const size_t size = attempts_write(cdr->attempts, cdr->attempts_count, f->attempts);

	return put_field(g, f->attempts, size);
}

/* In the order of columns.h, which the head line has too. */
static bool put_row(struct files *f, struct growing *g, const struct cdr *cdr)
{
	static const char *const timers[] = {
		[0] = "none",
		[CDR_TIMER_A] = "a",
		[CDR_TIMER_B] = "b",
		[CDR_TIMER_A | CDR_TIMER_B] = "a+b",
	};
	const struct cdr_text id = { .at = cdr->cdr_id, .size = CDR_ID_SIZE };

#define COMMA        put(g, ",", 1)
#define TEXT(name)   (COMMA && put_text(g, cdr->name))
#define NUMBER(name) (COMMA && put_number(g, (int64_t)cdr->name))
#define NAME(name)   (COMMA && put_string(g, name))
	return put_text(g, id) && TEXT(node) && NUMBER(shard) && TEXT(mapping_gateway) && TEXT(routing_gateway) &&
	       TEXT(account) && TEXT(vendor_account) && TEXT(caller_in) && TEXT(callee_in) && TEXT(caller_out) &&
	       TEXT(callee_out) && TEXT(source_address) && TEXT(destination_address) && TEXT(call_id_a) &&
	       TEXT(call_id_b) && NUMBER(start_us) && NUMBER(ringing_us) && NUMBER(connect_us) && NUMBER(end_us) &&
	       NUMBER(pdd_ms) && NUMBER(hold_ms) && NUMBER(billed_s) && NAME(cdr_side_name(cdr->end_side)) &&
	       NAME(cdr_end_reason_name(cdr->end_reason)) && NUMBER(sip_code) && NUMBER(q850) && COMMA &&
	       put_attempts(f, g, cdr) && NAME(timers[cdr->session_timer]) && NUMBER(refreshes_sent) &&
	       NUMBER(refreshes_confirmed) && NUMBER(last_confirmed_us) && TEXT(rate_prefix) && TEXT(rate) &&
	       TEXT(fee) && TEXT(cost) && NUMBER(recovered) && put(g, "\r\n", 2);
#undef NAME
#undef NUMBER
#undef TEXT
#undef COMMA
}

/* ---- the files that are known ---- */

static bool name_of_hour(int64_t us, char name[static NAME_SIZE])
{
	const time_t hour = (time_t)(us / US_PER_HOUR * 3600);
	struct tm utc;

	return us >= 0 && gmtime_r(&hour, &utc) != NULL && strftime(name, NAME_SIZE, "%Y%m%d%H.csv", &utc) != 0;
}

static bool is_name(const char *name)
{
	return strlen(name) == NAME_SIZE - 1 && strspn(name, "0123456789") == 10 && strcmp(name + 10, ".csv") == 0;
}

/* The newest is last: that is where it is looked for first. */
static struct hour_file *find_file(struct files *f, const char *name)
{
	for (size_t i = f->count; i-- > 0;)
		if (strcmp(f->files[i]->name, name) == 0)
			return f->files[i];
	return NULL;
}

static struct hour_file *add_file(struct files *f, const char *name)
{
	if (f->count == f->room) {
		const size_t room = f->room * 2 + 64;
		struct hour_file **files = realloc(f->files, room * sizeof(struct hour_file *));
		if (files == NULL)
			return NULL;
		f->files = files;
		f->room = room;
	}
	struct hour_file *file = calloc(1, sizeof(*file));
	if (file == NULL)
		return NULL;
	memcpy(file->name, name, NAME_SIZE);
	f->files[f->count++] = file;
	return file;
}

static void free_file(struct hour_file *file)
{
	free(file->rows.at);
	free(file);
}

/* Those that were used longest ago are not listed any more. */
static void forget_old_files(struct files *f)
{
	const size_t excess = f->count > FILES_KEPT ? f->count - FILES_KEPT : 0;

	for (size_t i = 0; i < excess; i++)
		free_file(f->files[i]);
	memmove(f->files, f->files + excess, (f->count - excess) * sizeof(struct hour_file *));
	f->count -= excess;
}

static bool is_touched(const struct hour_file *file)
{
	return file->rows.used > 0;
}

/* Behind all others, in the order in which they are. */
static void move_touched_last(struct files *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++) {
		if (is_touched(f->files[i]))
			continue;
		struct hour_file *file = f->files[i];
		memmove(f->files + kept + 1, f->files + kept, (i - kept) * sizeof(struct hour_file *));
		f->files[kept++] = file;
	}
}

/* ---- applied ---- */

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

static int write_new_applied(struct files *f, const struct growing *text)
{
	const int fd = openat(f->dir_fd, APPLIED_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd < 0)
		return -errno;
	int result = write_all(fd, text->at, text->used);
	if (result == 0 && fsync(fd) < 0)
		result = -errno;
	close(fd);
	if (result == 0 && renameat(f->dir_fd, APPLIED_NEW, f->dir_fd, APPLIED) < 0)
		result = -errno;
	if (result == 0 && fsync(f->dir_fd) < 0)
		result = -errno;
	return result;
}

static bool put_applied(const struct files *f, const struct sink_position *position, bool committed,
			struct growing *text)
{
	char line[64];

	snprintf(line, sizeof(line), "journal %016" PRIx64 " %016" PRIx64 "\n", position->journal, position->position);
	bool good = put_string(text, FIRST_LINE) && put_string(text, line);
	for (size_t i = 0; good && i < f->count; i++) {
		const struct hour_file *file = f->files[i];
		snprintf(line, sizeof(line), "%s %" PRIu64 "\n", file->name,
			 committed && is_touched(file) ? file->new_length : file->length);
		good = put_string(text, line);
	}
	return good;
}

/* With the lengths from before the batch, or with those after it. */
static int write_applied(struct files *f, const struct sink_position *position, bool committed)
{
	struct growing text = { 0 };
	int result = put_applied(f, position, committed, &text) ? write_new_applied(f, &text) : -ENOMEM;

	free(text.at);
	if (result < 0)
		return fail(f, APPLIED, result);
	for (size_t i = 0; i < f->count; i++)
		f->files[i]->listed = true;
	return 0;
}

static bool parse_file_line(struct files *f, char *line)
{
	char *space = strchr(line, ' '), *end;

	if (space == NULL)
		return false;
	*space = '\0';
	errno = 0;
	const uint64_t length = strtoull(space + 1, &end, 10);
	if (errno != 0 || end == space + 1 || *end != '\0' || !is_name(line))
		return false;
	struct hour_file *file = add_file(f, line);
	if (file == NULL)
		return false;
	file->length = length;
	file->listed = true;
	return true;
}

/* `text` ends with NUL and is taken apart. */
static bool parse_applied(struct files *f, char *text)
{
	char *line, *rest = text;
	bool good = strncmp(text, FIRST_LINE, sizeof(FIRST_LINE) - 1) == 0;

	if (!good)
		return false;
	rest += sizeof(FIRST_LINE) - 1;
	line = strsep(&rest, "\n");
	good = rest != NULL &&
	       sscanf(line, "journal %16" SCNx64 " %16" SCNx64, &f->position.journal, &f->position.position) == 2;
	while (good && *rest != '\0') {
		line = strsep(&rest, "\n");
		good = rest != NULL && parse_file_line(f, line);
	}
	return good;
}

static int read_applied(struct files *f)
{
	struct stat status;
	const int fd = openat(f->dir_fd, APPLIED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : fail(f, APPLIED, -errno);
	int result = fstat(fd, &status) < 0 ? -errno : 0;
	if (result == 0 && (!S_ISREG(status.st_mode) || status.st_size > APPLIED_BYTES))
		result = -EBADMSG;
	char *text = result == 0 ? calloc(1, (size_t)status.st_size + 1) : NULL;
	if (result == 0 && text == NULL)
		result = -ENOMEM;
	if (result == 0 && read(fd, text, (size_t)status.st_size) != (ssize_t)status.st_size)
		result = -EIO;
	close(fd);
	if (result == 0 && !parse_applied(f, text))
		result = -EBADMSG;
	free(text);
	if (result == -EBADMSG) {
		snprintf(f->error, sizeof(f->error),
			 "%.100s/" APPLIED ": is not what this program writes: restore it, or remove it, and what the "
			 "journal still holds is written again",
			 f->directory);
		return result;
	}
	return result < 0 ? fail(f, APPLIED, result) : 0;
}

/* ---- a file ---- */

/* Takes off what stands behind the committed length.  One that is not as long as that was taken away or replaced: what
 * comes now comes behind what is there. */
static int cut_file(struct files *f, struct hour_file *file)
{
	struct stat status;

	if (fstatat(f->dir_fd, file->name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return -errno;
		status.st_size = 0;
	} else if (!S_ISREG(status.st_mode)) {
		return -EINVAL;
	}
	const uint64_t size = (uint64_t)status.st_size;
	if (size > file->length && file->listed) {
		const int fd = openat(f->dir_fd, file->name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		const int result = ftruncate(fd, (off_t)file->length) < 0 ? -errno : 0;
		close(fd);
		return result;
	}
	if (size != file->length)
		file->listed = false;
	file->length = size;
	return 0;
}

static int append_rows(struct files *f, struct hour_file *file)
{
	static const char head[] = HEAD_LINE;
	const int fd = openat(f->dir_fd, file->name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	int result = 0;

	if (fd < 0)
		return -errno;
	file->new_length = file->length + file->rows.used;
	if (file->length == 0) {
		result = write_all(fd, head, sizeof(head) - 1);
		file->new_length += sizeof(head) - 1;
	}
	if (result == 0)
		result = write_all(fd, file->rows.at, file->rows.used);
	if (result == 0 && fdatasync(fd) < 0)
		result = -errno;
	close(fd);
	return result;
}

/* ---- the sink ---- */

static void forget_all(struct files *f)
{
	for (size_t i = 0; i < f->count; i++)
		free_file(f->files[i]);
	f->count = 0;
	f->position = (struct sink_position){ 0 };
}

static void files_close(void *context)
{
	struct files *f = context;

	if (f->dir_fd >= 0)
		close(f->dir_fd);
	f->dir_fd = -1;
	forget_all(f);
}

static int open_directory(struct files *f)
{
	if (mkdir(f->directory, 0750) < 0 && errno != EEXIST)
		return fail(f, "", -errno);
	f->dir_fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->dir_fd < 0 ? fail(f, "", -errno) : 0;
}

static int files_open(void *context, struct sink_position *ret_position, char error[static SINK_ERROR_BYTES])
{
	struct files *f = context;
	int result = open_directory(f);

	if (result == 0)
		result = read_applied(f);
	for (size_t i = 0; result == 0 && i < f->count; i++) {
		result = cut_file(f, f->files[i]);
		if (result < 0)
			fail(f, f->files[i]->name, result);
	}
	if (result < 0) {
		memcpy(error, f->error, SINK_ERROR_BYTES);
		files_close(f);
		return result;
	}
	*ret_position = f->position;
	return 0;
}

static void drop_rows(struct files *f)
{
	for (size_t i = 0; i < f->count; i++)
		f->files[i]->rows.used = 0;
}

static int files_begin(void *context)
{
	drop_rows(context);
	return 0;
}

static int files_add(void *context, const struct cdr *cdr)
{
	struct files *f = context;
	char name[NAME_SIZE];

	if (cdr->end_side >= CDR_SIDE_COUNT || cdr->end_reason >= CDR_END_REASON_COUNT ||
	    cdr->session_timer > (CDR_TIMER_A | CDR_TIMER_B) || !name_of_hour(cdr->end_us, name))
		return -EINVAL;
	struct hour_file *file = find_file(f, name);
	if (file == NULL)
		file = add_file(f, name);
	if (file == NULL || !put_row(f, &file->rows, cdr))
		return fail(f, name, -ENOMEM);
	return 0;
}

static int files_commit(void *context, const struct sink_position *position)
{
	struct files *f = context;
	bool all_listed = true;
	int result = 0;

	move_touched_last(f);
	for (size_t i = 0; result == 0 && i < f->count; i++) {
		if (!is_touched(f->files[i]))
			continue;
		result = cut_file(f, f->files[i]);
		all_listed &= f->files[i]->listed;
		if (result < 0)
			return fail(f, f->files[i]->name, result);
	}
	if (!all_listed)
		result = write_applied(f, &f->position, false);
	for (size_t i = 0; result == 0 && i < f->count; i++) {
		if (is_touched(f->files[i]) && (result = append_rows(f, f->files[i])) < 0)
			fail(f, f->files[i]->name, result);
	}
	if (result == 0)
		result = write_applied(f, position, true);
	if (result < 0)
		return result;
	f->position = *position;
	for (size_t i = 0; i < f->count; i++)
		if (is_touched(f->files[i]))
			f->files[i]->length = f->files[i]->new_length;
	drop_rows(f);
	forget_old_files(f);
	return 0;
}

static void files_rollback(void *context)
{
	drop_rows(context);
}

static bool files_reopen(void *context, int failure)
{
	(void)context;
	(void)failure;
	return true;
}

static const char *files_error(void *context)
{
	return ((struct files *)context)->error;
}

int files_sink_create(const char *directory, struct sink *ret_sink)
{
	struct files *f = calloc(1, sizeof(*f) + strlen(directory) + 1);

	if (f == NULL)
		return -ENOMEM;
	strcpy(f->directory, directory);
	f->dir_fd = -1;
	*ret_sink = (struct sink){ .name = "files",
				   .context = f,
				   .open = files_open,
				   .begin = files_begin,
				   .add = files_add,
				   .commit = files_commit,
				   .rollback = files_rollback,
				   .reopen = files_reopen,
				   .error = files_error,
				   .close = files_close };
	return 0;
}

void files_sink_free(struct sink *sink)
{
	struct files *f = sink->context;

	if (f == NULL)
		return;
	assert(f->dir_fd < 0);
	forget_all(f);
	free(f->files);
	free(f);
	sink->context = NULL;
}
