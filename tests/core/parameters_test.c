/* Spec 8: every parameter's name, default and range, and how values are read and printed.  */
#include "core/config/parameters.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char error[256];

static void assert_text(const struct parameters *p, const char *name, const char *expected)
{
	char text[PARAMETER_TEXT_MAX];
	int index = parameter_find(name);

	cr_assert_geq(index, 0);
	parameter_text(p, index, text, sizeof text);
	cr_assert_str_eq(text, expected, "%s is '%s', not '%s'", name, text, expected);
}

/* The table of the contract, written out a second time on purpose. */
Test(spec_8, defaults_and_ranges_are_those_of_the_contract)
{
	static const struct {
		const char *name, *text;
		uint32_t min, max;
	} contract[] = {
		{ "SS_SIP_SESSION_TTL", "600", 1, 86400 },
		{ "SS_SIP_SESSION_UPDATE_SEGMENT", "2", 2, 10 },
		{ "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP", "0", 0, 60 },
		{ "SS_SIP_NO_TIMER_REINVITE_INTERVAL", "7200", 0, 604800 },
		{ "RW_SIP_MIN_SE", "90", 1, 86400 },
		{ "RW_NO_TIMER_PROBE_INTERVAL", "0", 0, 86400 },
		{ "RW_MAX_CALL_DURATION", "0", 0, 604800 },
		{ "RW_SIP_T1", "500", 20, 2000 },
		{ "RW_SETUP_MAX", "300", 0, 3600 },
		{ "RW_RETRY_AFTER_MAX", "60", 0, 3600 },
		{ "SS_SIP_RESEND_INTERVAL", "0.5,1,2,4,4,4,4,4,4,4", 50, 60000 },
		{ "SS_SIP_TIMEOUT_INVITE", "10", 1, 300 },
		{ "SS_SIP_TIMEOUT_TRYING", "20", 1, 300 },
		{ "SS_SIP_TIMEOUT_SESSION_PROGRESS", "20", 1, 600 },
		{ "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP", "120", 1, 600 },
		{ "SS_SIP_TIMEOUT_RINGING", "120", 1, 600 },
		{ "SS_GATEWAY_SWITCH_LIMIT", "0", 0, 100 },
		{ "SS_GATEWAY_SWITCH_UNTIL_CONNECT", "off", 0, 1 },
		{ "SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY", "on", 0, 1 },
		{ "SS_SIP_STOP_SWITCH_AFTER_SDP", "on", 0, 1 },
		{ "SS_SIP_OPTIONS_CHECK_PERIOD", "30", 5, 3600 },
		{ "SS_GATEWAY_QUALITY_CALCULATE", "on", 0, 1 },
		{ "SS_GATEWAY_QUALITY_RESERVE_TIME", "3600", 60, 86400 },
		{ "SS_GATEWAY_QUALITY_RESERVE_SEPARATE", "6", 1, 60 },
		{ "SS_REPLY_UNAUTHORIZED", "on", 0, 1 },
		{ "RW_UNAUTHORIZED_RATE", "100", 0, 100000 },
		{ "RW_UNAUTHORIZED_RATE_ALL", "1000", 0, 1000000 },
		{ "SS_QOS_SIGNAL", "0xa0", 0, 255 },
		{ "SERVER_BILLING_HOLD_TIME_PRECISION", "50", 0, 999 },
		{ "SERVER_BILLING_FEE_PRECISION", "2", 0, 8 },
		{ "SERVER_BILLING_FREE_TIME", "0", 0, 3600 },
		{ "SERVER_BILLING_RECORD_ZERO_HOLD_TIME", "on", 0, 1 },
		{ "SERVER_BILLING_RECORD_ILLEGAL_CALL", "off", 0, 1 },
		{ "SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME", "1", 1, 15 },
	};
	struct parameters p;

	parameters_defaults(&p);
	cr_assert_eq(parameter_count, sizeof contract / sizeof contract[0]);
	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *info = &parameter_infos[i];

		cr_assert_str_eq(info->name, contract[i].name);
		cr_assert_str_eq(info->default_text, contract[i].text);
		cr_assert_eq(info->min, contract[i].min, "%s", info->name);
		cr_assert_eq(info->max, contract[i].max, "%s", info->name);
		cr_assert_eq(parameter_find(info->name), (int)i);
		cr_assert_str_not_empty(info->text);
		assert_text(&p, info->name, contract[i].text);
	}
	cr_assert_eq(parameters_check(&p, error), 0);
}

Test(spec_8, ends_of_every_range_are_taken_and_one_beyond_is_refused)
{
	struct parameters p;
	char value[24];

	parameters_defaults(&p);
	for (unsigned i = 0; i < parameter_count; i++) {
		const struct parameter_info *info = &parameter_infos[i];

		if (info->kind != PARAMETER_U32)
			continue;
		snprintf(value, sizeof value, "%u", info->min);
		cr_assert_eq(parameter_set(&p, info->name, value, error), 0, "%s", error);
		snprintf(value, sizeof value, "0x%X", info->max);
		cr_assert_eq(parameter_set(&p, info->name, value, error), 0, "%s", error);
		struct parameters before = p;
		snprintf(value, sizeof value, "%u", info->max + 1);
		cr_assert_eq(parameter_set(&p, info->name, value, error), -ERANGE);
		cr_assert_not_null(strstr(error, info->name));
		if (info->min > 0) {
			snprintf(value, sizeof value, "%u", info->min - 1);
			cr_assert_eq(parameter_set(&p, info->name, value, error), -ERANGE);
		}
		cr_assert_eq(parameter_set(&p, info->name, "4294967296", error), -ERANGE);
		cr_assert_eq(parameter_set(&p, info->name, "99999999999999999999999", error), -ERANGE);
		cr_assert_arr_eq(&before, &p, sizeof p, "a refused value changes nothing");
	}
}

Test(spec_8, numbers_are_decimal_or_hexadecimal_and_nothing_else)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1s", "0x", "0xg", "1.0", "ten", "1,0" };
	struct parameters p;

	parameters_defaults(&p);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		cr_assert_eq(parameter_set(&p, "SS_QOS_SIGNAL", bad[i], error), -EINVAL, "'%s'", bad[i]);
		cr_assert_not_null(strstr(error, "SS_QOS_SIGNAL"));
	}
	cr_assert_eq(parameter_set(&p, "SS_QOS_SIGNAL", "0xB8", error), 0);
	cr_assert_eq(p.SS_QOS_SIGNAL, 184);
	assert_text(&p, "SS_QOS_SIGNAL", "0xb8");
	cr_assert_eq(parameter_set(&p, "SS_QOS_SIGNAL", "010", error), 0);
	cr_assert_eq(p.SS_QOS_SIGNAL, 10, "a leading zero is not octal");
}

Test(spec_8, switches_take_on_and_off_and_their_usual_synonyms)
{
	static const char *const on[] = { "on", "true", "yes", "1", "ON", "True" };
	static const char *const off[] = { "off", "false", "no", "0", "OFF", "No" };
	struct parameters p;

	parameters_defaults(&p);
	for (unsigned i = 0; i < sizeof on / sizeof on[0]; i++) {
		cr_assert_eq(parameter_set(&p, "SS_REPLY_UNAUTHORIZED", off[i], error), 0);
		cr_assert_not(p.SS_REPLY_UNAUTHORIZED);
		assert_text(&p, "SS_REPLY_UNAUTHORIZED", "off");
		cr_assert_eq(parameter_set(&p, "SS_REPLY_UNAUTHORIZED", on[i], error), 0);
		cr_assert(p.SS_REPLY_UNAUTHORIZED);
		assert_text(&p, "SS_REPLY_UNAUTHORIZED", "on");
	}
	cr_assert_eq(parameter_set(&p, "SS_REPLY_UNAUTHORIZED", "2", error), -EINVAL);
	cr_assert_eq(parameter_set(&p, "SS_REPLY_UNAUTHORIZED", "", error), -EINVAL);
}

Test(ss_sip_resend_interval, waits_are_exact_milliseconds)
{
	struct parameters p;

	parameters_defaults(&p);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.count, 10);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.ms[0], 500);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.ms[9], 4000);

	cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", "0.05, 0.125 ,60", error), 0, "%s", error);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.count, 3);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.ms[0], 50);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.ms[1], 125);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.ms[2], 60000);
	assert_text(&p, "SS_SIP_RESEND_INTERVAL", "0.05,0.125,60");
}

Test(ss_sip_resend_interval, takes_1_to_20_waits_of_50_ms_to_60_s)
{
	static const char *const malformed[] = { "", ",", "1,", ",1", "1,,2", "a", "1;2", "0.0501", "-1", ".5", "1 2" };
	static const char *const outside[] = { "0", "0.049", "60.001", "61", "1,0.04", "99999999999" };
	struct parameters p;

	parameters_defaults(&p);
	struct parameters before = p;
	for (unsigned i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
		cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", malformed[i], error), -EINVAL, "'%s'",
			     malformed[i]);
	for (unsigned i = 0; i < sizeof outside / sizeof outside[0] - 1; i++)
		cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", outside[i], error), -ERANGE, "'%s'",
			     outside[i]);
	cr_assert_lt(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", outside[5], error), 0);

	char many[128] = "1";
	for (unsigned i = 1; i < 20; i++)
		strcat(many, ",60");
	strcat(many, ",2");
	cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", many, error), -ERANGE);
	cr_assert_arr_eq(&before, &p, sizeof p);
	many[strlen(many) - 2] = '\0';
	cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", many, error), 0, "%s", error);
	cr_assert_eq(p.SS_SIP_RESEND_INTERVAL.count, 20);
	assert_text(&p, "SS_SIP_RESEND_INTERVAL", many);
}

Test(ss_sip_resend_interval, longest_text_fits_parameter_text_max)
{
	struct parameters p;
	char value[PARAMETER_TEXT_MAX] = "59.999";

	parameters_defaults(&p);
	for (unsigned i = 1; i < PARAMETER_WAITS_MAX; i++)
		strcat(value, ",59.999");
	cr_assert_eq(parameter_set(&p, "SS_SIP_RESEND_INTERVAL", value, error), 0);
	assert_text(&p, "SS_SIP_RESEND_INTERVAL", value);
	char cut[8];
	parameter_text(&p, parameter_find("SS_SIP_RESEND_INTERVAL"), cut, sizeof cut);
	cr_assert_str_eq(cut, "59.999,");
}

Test(spec_8, unknown_name_is_told)
{
	struct parameters p;

	parameters_defaults(&p);
	cr_assert_eq(parameter_set(&p, "SS_SIP_SESSION_TT", "600", error), -ENOENT);
	cr_assert_not_null(strstr(error, "SS_SIP_SESSION_TT"));
	cr_assert_eq(parameter_find("ss_sip_session_ttl"), -1);
}

Test(ss_sip_session_ttl, its_range_names_rw_sip_min_se)
{
	char text[16];

	cr_assert_str_eq(parameter_min_text(&parameter_infos[parameter_find("SS_SIP_SESSION_TTL")], text),
			 "RW_SIP_MIN_SE");
	cr_assert_str_eq(parameter_min_text(&parameter_infos[parameter_find("RW_SIP_T1")], text), "20");
}

Test(ss_sip_session_ttl, is_not_below_rw_sip_min_se)
{
	struct parameters p;

	parameters_defaults(&p);
	p.SS_SIP_SESSION_TTL = 90;
	cr_assert_eq(parameters_check(&p, error), 0);
	p.SS_SIP_SESSION_TTL = 89;
	cr_assert_eq(parameters_check(&p, error), -ERANGE);
	cr_assert_not_null(strstr(error, "SS_SIP_SESSION_TTL"));
	cr_assert_not_null(strstr(error, "RW_SIP_MIN_SE"));
}
