/* core/net/sendbuf: room to build datagrams in. */
#include <criterion/criterion.h>

#include "core/net/sendbuf.h"

static _Alignas(16) char memory[1024];
static struct sendbuf b;

static void init(void)
{
	sendbuf_init(&b, memory, sizeof memory);
}

TestSuite(sendbuf, .init = init);

Test(sendbuf, what_is_kept_is_not_lent_again)
{
	char *first = sendbuf_lend(&b, 300);

	cr_assert_eq(first, memory);
	sendbuf_keep(&b, 100);
	char *second = sendbuf_lend(&b, 50);
	cr_assert_geq(second, first + 100);
	cr_assert_eq((second - memory) % 16, 0);
}

Test(sendbuf, what_is_given_back_unused_is_lent_again)
{
	char *first = sendbuf_lend(&b, 300);

	sendbuf_unlend(&b);
	cr_assert_eq(sendbuf_lend(&b, 1024), first);
}

Test(sendbuf, lends_to_the_last_byte_and_no_further)
{
	cr_assert_null(sendbuf_lend(&b, 1025));
	cr_assert_not_null(sendbuf_lend(&b, 1024));
	sendbuf_keep(&b, 1001);
	cr_assert_eq(sendbuf_free(&b), 16);
	cr_assert_null(sendbuf_lend(&b, 17));
	cr_assert_not_null(sendbuf_lend(&b, 16));
	sendbuf_keep(&b, 16);
	cr_assert_eq(sendbuf_free(&b), 0);
	cr_assert_null(sendbuf_lend(&b, 1));
}

/* A size that is no multiple of 16, in memory that is none either. */
Test(sendbuf, never_counts_past_its_end)
{
	sendbuf_init(&b, memory, 1000);
	cr_assert_not_null(sendbuf_lend(&b, 1000));
	sendbuf_keep(&b, 1000);
	cr_assert_eq(sendbuf_free(&b), 0);
}

Test(sendbuf, is_whole_again_after_a_reset)
{
	cr_assert_not_null(sendbuf_lend(&b, 1024));
	sendbuf_keep(&b, 1024);
	sendbuf_reset(&b);
	cr_assert_eq(sendbuf_lend(&b, 1024), memory);
}
