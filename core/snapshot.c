/* Publication of the configuration: see the header. */
#include "core/snapshot.h"

#include <urcu/urcu-qsbr.h>

/* The thread sanitizer does not see into liburcu: it is told that what a reader did before it passed happens before
 * what the writer does after its wait. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER
#endif
#ifdef THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
static char passed;
#define TELL_PASSED() __tsan_release(&passed)
#define TELL_WAITED() __tsan_acquire(&passed)
#else
#define TELL_PASSED() ((void)0)
#define TELL_WAITED() ((void)0)
#endif

void snapshot_init(struct snapshot *s, struct config *first)
{
	atomic_init(&s->config, first);
}

void snapshot_free(struct snapshot *s)
{
	config_free(atomic_exchange_explicit(&s->config, NULL, memory_order_acq_rel));
}

void snapshot_join(void)
{
	urcu_qsbr_register_thread();
	urcu_qsbr_thread_offline();
}

void snapshot_quit(void)
{
	TELL_PASSED();
	urcu_qsbr_unregister_thread();
}

void snapshot_enter(void)
{
	urcu_qsbr_thread_online();
}

void snapshot_leave(void)
{
	TELL_PASSED();
	urcu_qsbr_thread_offline();
}

void snapshot_pass(void)
{
	TELL_PASSED();
	urcu_qsbr_quiescent_state();
}

struct config *snapshot_replace(struct snapshot *s, struct config *next)
{
	struct config *former = atomic_exchange_explicit(&s->config, next, memory_order_acq_rel);

	urcu_qsbr_synchronize_rcu();
	TELL_WAITED();
	return former;
}
