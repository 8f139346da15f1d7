/* The URI of a PostgreSQL: what is refused, and what of it is shown. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "billing/postgresql_link.h"

Test(postgresql_uri, what_would_make_a_password_appear_is_refused)
{
	static const char *const good[] = {
		"postgresql://",
		"postgresql:///cdr?host=/run/postgresql",
		"postgresql://rw@db/cdr",
		"postgresql://rw:p%40ss@db1:5433,db2/cdr?target_session_attrs=any&sslmode=require",
		"postgresql://rw@db/cdr?password=p@ss",
		"postgres://rw:x@[2001:db8::1]:5432/cdr"
	};
	static const char *const bad[] = { "",
					   "host=db password=s3cret",
					   "postgresql://rw:s3cret@x@db/cdr",
					   "postgresql://rw:s3cret/x@db/cdr",
					   "postgresql://rw:x/s3cret@db/cdr",
					   "postgresql://rw:s3cret?x@db/cdr",
					   "postgresql://db?password=x@s3cret",
					   "postgresql://rw:s3cret%zz@db/cdr",
					   "postgresql://rw@db/cdr?pasword=s3cret" };
	char error[LINK_ERROR_BYTES];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert_eq(postgresql_uri_check(good[i], error), 0, "%s: %s", good[i], error);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(postgresql_uri_check(bad[i], error), -EINVAL, "%s", bad[i]);
		cr_assert_null(strstr(error, "s3cret"), "%s", error);
	}
}

Test(postgresql_uri, passwords_are_not_shown)
{
	static const struct {
		const char *uri, *shown;
	} cases[] = {
		{ "", "" },
		{ "postgresql://rw@db/cdr", "postgresql://rw@db/cdr" },
		{ "postgresql://rw:p%40ss@db:5433/cdr?sslmode=require",
		  "postgresql://rw:***@db:5433/cdr?sslmode=require" },
		{ "postgresql://rw:a@b@db/cdr", "postgresql://rw:***@db/cdr" },
		{ "postgresql://rw:a?b@db/cdr", "postgresql://rw:***@db/cdr" },
		{ "postgresql://db:5433/cdr", "postgresql://db:5433/cdr" },
		{ "postgresql://rw@db/c?password=x&sslpassword=y&z=1",
		  "postgresql://rw@db/c?password=***&sslpassword=***&z=1" },
		{ "postgresql://rw:@db/c?a=password=", "postgresql://rw:***@db/c?a=password=" },
	};
	char shown[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		postgresql_uri_mask(cases[i].uri, shown, sizeof(shown));
		cr_assert_str_eq(shown, cases[i].shown);
	}
	postgresql_uri_mask("postgresql://rw:secret@db/cdr", shown, 18);
	cr_assert_str_eq(shown, "postgresql://rw:*", "cut, and still ended");
}
