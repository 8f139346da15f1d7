/* Addresses in text and as socket addresses: RFC 3261 25.1, RFC 5118 4.1, 4.5, 4.9, RFC 5952. */
#include "sip/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct address must_read(const char *text)
{
	struct address a;

	cr_assert(address_read_host(bytes_of(text), &a), "%s", text);
	return a;
}

Test(address, host_is_read_and_written_in_its_plain_form)
{
	static const struct {
		const char *text, *plain, *in_header;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1" },
		{ "0.0.0.0", "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255", "255.255.255.255" },
		{ "2001:db8::1", "2001:db8::1", "[2001:db8::1]" },
		{ "[2001:DB8:0:0::1]", "2001:db8::1", "[2001:db8::1]" },
		{ "[::ffff:192.0.2.10]", "::ffff:192.0.2.10", "[::ffff:192.0.2.10]" },
		{ "::", "::", "[::]" },
	};
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct address a = must_read(cases[i].text);

		cr_assert_eq(address_write_host(&a, false, text), strlen(cases[i].plain));
		cr_assert_str_eq(text, cases[i].plain);
		cr_assert_eq(address_write_host(&a, true, text), strlen(cases[i].in_header));
		cr_assert_str_eq(text, cases[i].in_header);
		cr_assert_eq(a.port, 0);
	}
}

Test(address, what_is_no_address_is_refused)
{
	static const char *const wrong[] = {
		"",           "1.2.3",    "1.2.3.4.5", "1.2.3.256", "1.2.3.4:5060",  "example.com",  "[1.2.3.4]",
		"[::1",       "::1]",     "[]",        "1:2:3",     ":::",           "fe80::1%eth0", " 192.0.2.1",
		"192.0.2.1 ", "01.2.3.4", "1.2.3.-4",  "0x1.2.3.4", "2001:db8::1::2"
	};
	struct address a = { .family = 9 };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		cr_assert_not(address_read_host(bytes_of(wrong[i]), &a), "%s", wrong[i]);
	cr_assert_not(address_read_host((struct bytes){ "192.0.2.1\0", 10 }, &a));
	cr_assert_not(address_read_host(bytes_of("00000000000000000000000000000000000000000000000000:1"), &a));
	cr_assert_eq(a.family, 9, "nothing is written on failure");
}

Test(address, a_view_need_not_be_terminated)
{
	struct address a, b = must_read("192.0.2.1");

	cr_assert(address_read_host((struct bytes){ "192.0.2.123", 9 }, &a));
	cr_assert(address_equal(&a, &b));
}

Test(address, port_tells_addresses_apart_but_not_hosts)
{
	struct address a = must_read("192.0.2.1"), b = a, c = must_read("192.0.2.2");

	b.port = 5060;
	cr_assert_not(address_equal(&a, &b));
	cr_assert(address_same_host(&a, &b));
	cr_assert_not(address_same_host(&a, &c));
}

Test(address, port_is_written_after_the_host)
{
	struct address a = must_read("192.0.2.1"), b = must_read("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
	char text[ADDRESS_TEXT_MAX];

	a.port = 5060;
	b.port = 65535;
	cr_assert_eq(address_write(&a, text), strlen("192.0.2.1:5060"));
	cr_assert_str_eq(text, "192.0.2.1:5060");
	cr_assert_eq(address_write(&b, text), strlen(text));
	cr_assert_str_eq(text, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

Test(address, socket_address_holds_the_same)
{
	static const char *const hosts[] = { "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" };

	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct address a = must_read(hosts[i]), b;
		struct sockaddr_storage sa;
		unsigned size;

		a.port = 5061;
		size = address_to_sockaddr(&a, &sa);
		cr_assert_eq(size, a.family == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		cr_assert_eq(sa.ss_family, a.family == 4 ? AF_INET : AF_INET6);
		address_from_sockaddr((const struct sockaddr *)&sa, &b);
		cr_assert(address_equal(&a, &b));
	}
}

Test(address, socket_address_of_another_family_is_none)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct address a = must_read("192.0.2.1");

	address_from_sockaddr(&sa, &a);
	cr_assert_eq(a.family, 0);
}
