#include "tests/sim/starve.h"

struct starve starve;

const char *starve_name(enum starve_kind kind)
{
	static const char *const names[] = {
#define X(name) #name,
		STARVE_KINDS(X)
#undef X
	};
	return names[kind];
}

static bool by_chance(void)
{
	if (!starve.ppm)
		return false;
	starve.random = starve.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (starve.random >> 33) % 1000000 < starve.ppm;
}

bool starve_refuses(enum starve_kind kind)
{
	if (!starve.on)
		return false;
	uint64_t n = ++starve.asked;
	if (!(n >= starve.from && n < starve.until) && !by_chance())
		return false;
	starve.refused++;
	starve.refused_kinds[kind]++;
	return true;
}
