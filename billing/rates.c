/* Rate tables in ringwheel.db: see rates.h. */
#include "billing/rates.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "billing/operation.h"
#include "billing/statement.h"

#define RATE_COLUMNS                                                                                                   \
	"prefix, name, rate_per_minute_e8, connect_fee_e8, first_increment_s, next_increment_s, grace_s,"              \
	" effective_from_us, effective_to_us"

static int check_table(struct operation *o, const char *table)
{
	if (account_name_is_good(table))
		return 0;
	return operation_refuse(o, -EINVAL, "'%.70s' is no name of a rate table (letters, digits, '-', '_' and '.')",
				table);
}

static int find_table(struct operation *o, const char *table, int64_t *ret_id)
{
	int result = operation_number(o, ret_id, "SELECT id FROM rate_tables WHERE name = ?1", table);

	return result == -ENOENT ? operation_refuse(o, result, "there is no rate table '%.64s'", table) : result;
}

/* ---- import ---- */

static int say(char error[static DATABASE_ERROR_BYTES], int result, const char *file, const char *what)
{
	snprintf(error, DATABASE_ERROR_BYTES, "%.180s: %s", file, what);
	return result;
}

/* The whole of an open regular file. */
static int read_all(int fd, char **ret_text, size_t *ret_size)
{
	struct stat status;
	size_t used = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	if (status.st_size > RATES_CSV_BYTES_MAX)
		return -EFBIG;
	char *text = malloc((size_t)status.st_size + 1);
	if (text == NULL)
		return -ENOMEM;
	while (used < (size_t)status.st_size) {
		ssize_t size = read(fd, text + used, (size_t)status.st_size - used);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0) {
			int result = -errno;
			free(text);
			return result;
		}
		if (size == 0)
			break; /* somebody has cut it */
		used += (size_t)size;
	}
	*ret_text = text;
	*ret_size = used;
	return 0;
}

static int read_csv(const char *file, struct rates_csv *ret_csv, char error[static DATABASE_ERROR_BYTES])
{
	char *text = NULL;
	size_t size = 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return say(error, -errno, file, strerror(errno));
	int result = read_all(fd, &text, &size);
	close(fd);
	if (result == 0)
		result = rates_csv_read(text, size, ret_csv);
	if (result < 0)
		return say(error, result, file, result == -EINVAL ? "not a regular file" : strerror(-result));
	return 0;
}

/* The first bad rows, a line each. */
static char *list_faults(const struct rates_csv *csv, const char *file)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fprintf(out, "%.200s: %llu bad row%s, nothing was imported", file, (unsigned long long)csv->fault_count,
		csv->fault_count == 1 ? "" : "s");
	for (unsigned i = 0; i < csv->fault_count && i < RATES_CSV_FAULTS; i++)
		fprintf(out, "\nline %u: %s", csv->faults[i].line, csv->faults[i].reason);
	if (csv->fault_count > RATES_CSV_FAULTS)
		fprintf(out, "\nand %llu more", (unsigned long long)(csv->fault_count - RATES_CSV_FAULTS));
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static int bind_row(sqlite3_stmt *s, const struct rate_line *row)
{
	const struct rate_terms *t = &row->terms;
	const int64_t numbers[] = { t->rate_e8, t->connect_fee_e8, t->first_s, t->next_s,
				    t->grace_s, row->from_us,      row->to_us };
	int code = sqlite3_bind_text(s, 2, row->prefix, (int)row->prefix_size, SQLITE_STATIC);

	if (code == SQLITE_OK)
		code = sqlite3_bind_text(s, 3, row->name, (int)row->name_size, SQLITE_STATIC);
	for (int i = 0; code == SQLITE_OK && i < (int)(sizeof(numbers) / sizeof(numbers[0])); i++)
		code = sqlite3_bind_int64(s, 4 + i, numbers[i]);
	return code;
}

static int insert_rows(struct operation *o, int64_t table, const struct rates_csv *csv)
{
	sqlite3_stmt *s;
	int code = statement_prepare(o->db, &s,
				     "INSERT INTO rates (rate_table, " RATE_COLUMNS ")"
				     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
				     "i", table);

	if (code != SQLITE_OK)
		return operation_explain(o, code);
	for (uint32_t i = 0; i < csv->count && (code == SQLITE_OK || code == SQLITE_DONE); i++) {
		code = bind_row(s, &csv->rows[i]);
		if (code == SQLITE_OK)
			code = sqlite3_step(s);
		sqlite3_reset(s);
	}
	code = statement_end(s, code == SQLITE_OK ? SQLITE_DONE : code);
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

static int replace(struct operation *o, const char *table, const struct rates_csv *csv, int64_t now_us,
		   struct rates_import *ret_import)
{
	int64_t id, before;
	int result = operation_run(o,
				   "INSERT INTO rate_tables (name, rows, imported_us) VALUES (?1, 0, 0)"
				   " ON CONFLICT DO NOTHING",
				   "t", table);

	if (result == 0)
		result = find_table(o, table, &id);
	if (result == 0)
		result = operation_number(o, &before, "SELECT rows FROM rate_tables WHERE name = ?1", table);
	if (result == 0)
		result = operation_run(o, "DELETE FROM rates WHERE rate_table = ?1", "i", id);
	if (result == 0)
		result = insert_rows(o, id, csv);
	if (result == 0)
		result = operation_run(o, "UPDATE rate_tables SET rows = ?2, imported_us = ?3 WHERE id = ?1", "iii", id,
				       (int64_t)csv->count, now_us);
	if (result == 0)
		*ret_import = (struct rates_import){ .rows = csv->count, .before = (uint64_t)before };
	return result;
}

int rates_import(const char *path, const char *table, const char *file, int64_t now_us, struct rates_import *ret_import,
		 char **ret_text, char error[static DATABASE_ERROR_BYTES])
{
	struct rates_csv csv;
	struct operation o = { .path = path, .error = error };

	*ret_import = (struct rates_import){ 0 };
	*ret_text = NULL;
	/* All of it is read before the lock is taken. */
	int result = check_table(&o, table);
	if (result == 0)
		result = read_csv(file, &csv, error);
	if (result < 0)
		return result;
	ret_import->faults = csv.fault_count;
	if (csv.fault_count > 0) {
		result = say(error, -EINVAL, file, "bad rows, nothing was imported");
		*ret_text = list_faults(&csv, file);
	} else if (csv.count == 0) {
		result = say(error, -EINVAL, file, "no rates in it; use rates delete");
	} else {
		result = operation_begin(&o, path, error);
		if (result == 0)
			result = replace(&o, table, &csv, now_us, ret_import);
		result = operation_end(&o, result);
	}
	rates_csv_free(&csv);
	return result;
}

/* ---- export ---- */

static struct rate_line line_of(sqlite3_stmt *s, int first)
{
	return (struct rate_line){
		.prefix = statement_text(s, first),
		.prefix_size = (uint32_t)sqlite3_column_bytes(s, first),
		.name = statement_text(s, first + 1),
		.name_size = (uint32_t)sqlite3_column_bytes(s, first + 1),
		.terms = { .rate_e8 = sqlite3_column_int64(s, first + 2),
			   .connect_fee_e8 = sqlite3_column_int64(s, first + 3),
			   .first_s = (uint32_t)sqlite3_column_int64(s, first + 4),
			   .next_s = (uint32_t)sqlite3_column_int64(s, first + 5),
			   .grace_s = (uint32_t)sqlite3_column_int64(s, first + 6) },
		.from_us = sqlite3_column_int64(s, first + 7),
		.to_us = sqlite3_column_int64(s, first + 8),
	};
}

static int write_rows(struct operation *o, const char *table, FILE *out, long bytes_max, uint64_t *ret_rows)
{
	sqlite3_stmt *s;
	int64_t id;
	int result = find_table(o, table, &id);

	*ret_rows = 0;
	if (result < 0)
		return result;
	int code = statement_prepare(o->db, &s,
				     "SELECT " RATE_COLUMNS " FROM rates WHERE rate_table = ?1"
				     " ORDER BY prefix, effective_from_us",
				     "i", id);
	if (code != SQLITE_OK)
		return operation_explain(o, code);
	rates_csv_write_head(out);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		const struct rate_line row = line_of(s, 0);

		rates_csv_write_row(out, &row);
		++*ret_rows;
		if (ferror(out) || ((*ret_rows & 1023) == 0 && ftell(out) > bytes_max))
			break;
	}
	code = statement_end(s, code);
	if (code != SQLITE_OK)
		return operation_explain(o, code);
	if (fflush(out) != 0 || ferror(out))
		return -(errno != 0 ? errno : EIO);
	return ftell(out) > bytes_max ? -EFBIG : 0;
}

static int look(struct operation *o, const char *path, const char *table, char error[static DATABASE_ERROR_BYTES])
{
	int result = operation_look(o, path, &ledger_schema, error);

	return result == -ENOENT ? operation_refuse(o, result, "there is no rate table '%.64s'", table) : result;
}

static int fail_file(const char *file, char error[static DATABASE_ERROR_BYTES])
{
	const int failure = errno;

	return say(error, -failure, file, strerror(failure));
}

/* A new file beside `file`, so that its name always means a whole one. */
static int make_file(const char *file, char name[static PATH_MAX], FILE **ret_out,
		     char error[static DATABASE_ERROR_BYTES])
{
	struct stat status;

	if (stat(file, &status) == 0 && !S_ISREG(status.st_mode))
		return say(error, -EEXIST, file, "not a regular file");
	if (snprintf(name, PATH_MAX, "%s.XXXXXX", file) >= PATH_MAX)
		return say(error, -ENAMETOOLONG, file, strerror(ENAMETOOLONG));
	const int fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return fail_file(file, error);
	*ret_out = fchmod(fd, 0640) == 0 ? fdopen(fd, "w") : NULL;
	if (*ret_out == NULL) {
		const int result = fail_file(file, error);
		close(fd);
		unlink(name);
		return result;
	}
	return 0;
}

static int finish_file(const char *file, const char *name, FILE *out, int result,
		       char error[static DATABASE_ERROR_BYTES])
{
	if (result == 0 && fsync(fileno(out)) < 0)
		result = fail_file(file, error);
	if (fclose(out) != 0 && result == 0)
		result = fail_file(file, error);
	if (result == 0 && rename(name, file) < 0)
		result = fail_file(file, error);
	if (result < 0)
		unlink(name);
	return result;
}

int rates_export(const char *path, const char *table, const char *file, uint64_t *ret_rows,
		 char error[static DATABASE_ERROR_BYTES])
{
	char name[PATH_MAX];
	FILE *out;
	struct operation o;
	int result = look(&o, path, table, error);

	if (result == 0)
		result = make_file(file, name, &out, error);
	if (result == 0) {
		error[0] = '\0';
		result = write_rows(&o, table, out, LONG_MAX, ret_rows);
		if (result < 0 && error[0] == '\0')
			say(error, result, file, strerror(-result));
		result = finish_file(file, name, out, result, error);
	}
	return operation_end(&o, result);
}

int rates_export_text(const char *path, const char *table, uint64_t *ret_rows, char **ret_text,
		      char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	char *text = NULL;
	size_t size = 0;
	int result = look(&o, path, table, error);
	FILE *out = result == 0 ? open_memstream(&text, &size) : NULL;

	if (result == 0 && out == NULL)
		result = operation_refuse(&o, -ENOMEM, "%s", strerror(ENOMEM));
	if (result == 0) {
		error[0] = '\0';
		result = write_rows(&o, table, out, RATES_TEXT_MAX, ret_rows);
		if (result == -EFBIG)
			operation_refuse(&o, result, "the table is too large to be shown; export it into a file");
		else if (result < 0 && error[0] == '\0')
			operation_refuse(&o, result, "%s", strerror(-result));
	}
	if (out != NULL && fclose(out) != 0 && result == 0)
		result = operation_refuse(&o, -ENOMEM, "%s", strerror(ENOMEM));
	result = operation_end(&o, result);
	if (result == 0)
		*ret_text = text;
	else
		free(text);
	return result;
}

/* ---- deletion ---- */

static int delete_table(struct operation *o, const char *table, uint64_t *ret_rows)
{
	int64_t id, users, rows;
	int result = find_table(o, table, &id);

	if (result == 0)
		result = operation_number(o, &users,
					  "SELECT count(*) FROM accounts WHERE rate_table ="
					  " (SELECT id FROM rate_tables WHERE name = ?1)",
					  table);
	if (result == 0 && users > 0)
		return operation_refuse(o, -EBUSY, "%lld account%s the rate table '%s'; give %s another one first",
					(long long)users, users == 1 ? " has" : "s have", table,
					users == 1 ? "it" : "them");
	if (result == 0)
		result = operation_number(o, &rows, "SELECT rows FROM rate_tables WHERE name = ?1", table);
	if (result == 0)
		result = operation_run(o, "DELETE FROM rates WHERE rate_table = ?1", "i", id);
	if (result == 0)
		result = operation_run(o, "DELETE FROM rate_tables WHERE id = ?1", "i", id);
	if (result == 0)
		*ret_rows = (uint64_t)rows;
	return result;
}

int rates_delete(const char *path, const char *table, uint64_t *ret_rows, char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	int result = operation_begin(&o, path, error);

	if (result == 0)
		result = delete_table(&o, table, ret_rows);
	return operation_end(&o, result);
}

/* ---- lists ---- */

int rates_list(const char *path, void (*row)(void *context, const struct rate_table_row *row), void *context,
	       char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	sqlite3_stmt *s;
	int result = operation_look(&o, path, &ledger_schema, error);

	if (result == -ENOENT)
		return 0;
	if (result < 0)
		return operation_end(&o, result);
	int code = statement_prepare(o.db, &s,
				     "SELECT name, rows, imported_us, users FROM rate_tables LEFT JOIN"
				     " (SELECT rate_table, count(*) AS users FROM accounts GROUP BY rate_table)"
				     " ON rate_table = id ORDER BY name",
				     "");
	if (code == SQLITE_OK) {
		while ((code = sqlite3_step(s)) == SQLITE_ROW) {
			const struct rate_table_row table = {
				.name = statement_text(s, 0),
				.rows = (uint64_t)sqlite3_column_int64(s, 1),
				.imported_us = sqlite3_column_int64(s, 2),
				.accounts = (uint64_t)sqlite3_column_int64(s, 3),
			};

			row(context, &table);
		}
		code = statement_end(s, code);
	}
	return operation_end(&o, code == SQLITE_OK ? 0 : operation_explain(&o, code));
}

static int hand_rows(struct operation *o, const char *table, const char *prefix, uint32_t limit,
		     void (*row)(void *context, const struct rate_line *row), void *context)
{
	sqlite3_stmt *s;
	int64_t id;
	int result = find_table(o, table, &id);

	if (result < 0)
		return result;
	/* ':' is what comes behind the digits. */
	int code = statement_prepare(o->db, &s,
				     "SELECT " RATE_COLUMNS " FROM rates WHERE rate_table = ?1 AND prefix >= ?2"
				     " AND prefix < ?2 || ':' ORDER BY prefix, effective_from_us LIMIT ?3",
				     "iti", id, prefix, (int64_t)limit);
	if (code != SQLITE_OK)
		return operation_explain(o, code);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		const struct rate_line found = line_of(s, 0);

		row(context, &found);
	}
	code = statement_end(s, code);
	return code == SQLITE_OK ? 0 : operation_explain(o, code);
}

int rates_rows(const char *path, const char *table, const char *prefix, uint32_t limit,
	       void (*row)(void *context, const struct rate_line *row), void *context,
	       char error[static DATABASE_ERROR_BYTES])
{
	struct operation o;
	int result = look(&o, path, table, error);

	if (result == 0)
		result = hand_rows(&o, table, prefix, limit, row, context);
	return operation_end(&o, result);
}

/* ---- look-up ---- */

static int table_of_account(struct operation *o, const char *account, char table[static RATE_TABLE_MAX + 1])
{
	int result = operation_text(o, table, RATE_TABLE_MAX + 1,
				    "SELECT coalesce(t.name, '') FROM accounts a"
				    " LEFT JOIN rate_tables t ON t.id = a.rate_table WHERE a.name = ?1",
				    account);

	if (result == -ENOENT)
		return operation_refuse(o, result, "there is no account '%.64s'", account);
	if (result == 0 && table[0] == '\0')
		return operation_refuse(o, -ENOENT, "account '%.64s' has no rate table", account);
	return result;
}

/* Of each length of the number, the newest date that counts: the longest is what is asked for. */
static int find_rate(struct operation *o, const char *table, const char *number, int64_t at_us,
		     void (*row)(void *context, const char *table, const struct rate_line *row), void *context)
{
	int64_t id;
	int result = find_table(o, table, &id);

	for (size_t size = strnlen(number, RATE_PREFIX_MAX) + 1; result == 0 && size-- > 0;) {
		char prefix[RATE_PREFIX_MAX + 1];
		sqlite3_stmt *s;

		snprintf(prefix, sizeof(prefix), "%.*s", (int)size, number);
		int code = statement_prepare(o->db, &s,
					     "SELECT " RATE_COLUMNS " FROM rates WHERE rate_table = ?1 AND prefix = ?2"
					     " AND effective_from_us <= ?3 AND effective_to_us > ?3"
					     " ORDER BY effective_from_us DESC LIMIT 1",
					     "iti", id, prefix, at_us);
		if (code != SQLITE_OK)
			return operation_explain(o, code);
		code = sqlite3_step(s);
		if (code == SQLITE_ROW) {
			const struct rate_line found = line_of(s, 0);

			row(context, table, &found);
			sqlite3_finalize(s);
			return 0;
		}
		code = statement_end(s, code);
		if (code != SQLITE_OK)
			result = operation_explain(o, code);
	}
	if (result == 0)
		result = operation_refuse(o, -ENOENT, "rate table '%s' has no rate for %.64s at that time", table,
					  number);
	return result;
}

int rates_lookup(const char *path, const char *table, const char *account, const char *number, int64_t at_us,
		 void (*row)(void *context, const char *table, const struct rate_line *row), void *context,
		 char error[static DATABASE_ERROR_BYTES])
{
	char name[RATE_TABLE_MAX + 1] = "";
	struct operation o;
	int result = look(&o, path, table, error);

	snprintf(name, sizeof(name), "%s", table);
	if (result == 0 && account[0] != '\0')
		result = table_of_account(&o, account, name);
	if (result == 0)
		result = find_rate(&o, name, number, at_us, row, context);
	return operation_end(&o, result);
}
