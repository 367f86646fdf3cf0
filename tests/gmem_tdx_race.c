// SPDX-License-Identifier: GPL-2.0-only
/* TDX guests on the software TDX module: many vCPUs, and a host that interferes. */

#include <sys/mman.h>

#include "tdx.h"

#define SEED	21
#define FRAMES	8
#define VCPUS	8
#define ROUNDS	200

/* Pages of each 2 MiB that belong to a vCPU, and those that the host plays with. */
#define OWNED	VCPUS
#define PLAYED	12

struct racer {
	struct gm_td_scene *s;
	unsigned int cpu;
	u64 rand;
	u64 done;		/* accepts that succeeded, or requests of the host */
	bool stop;
	pthread_t thread;
};

static bool accept_answer(u64 rax)
{
	switch (rax >> 32) {
	case 0:
	case GM_TD_BUSY:
	case GM_TD_HOST_PRIORITY:
	case GM_TD_ACCEPTED:
	case GM_TD_MISMATCH:
		return true;
	default:
		return false;
	}
}

static u64 own_page(const struct racer *r, unsigned int frame)
{
	return GM_GPA + frame * GM_2M + r->cpu * GM_PAGE;
}

static void check_own(struct racer *r, unsigned int frame, u64 seed)
{
	gm_assert_eq(gm_td_check(r->s->td, r->cpu, own_page(r, frame), GM_PAGE, 8, seed),
		     GM_TD_SYNC);
	gm_td_assert_good(r->s->td, r->cpu);
}

/* Its own pages keep what it stored; of others it accepts what there is. */
static void *racer(void *arg)
{
	struct racer *r = arg;
	struct gm_td *td = r->s->td;
	unsigned int i, frame;
	u64 gpa, left, rax;
	int stop;

	for (i = 0; i < ROUNDS; i++) {
		frame = gm_rand(&r->rand) % FRAMES;
		check_own(r, frame, SEED + r->cpu);

		gpa = GM_GPA + frame * GM_2M;
		if (gm_rand(&r->rand) % 4) {
			gpa += (OWNED + gm_rand(&r->rand) % PLAYED) * GM_PAGE;
			stop = gm_td_accept(td, r->cpu, gpa, GM_TD_4K, 1, &left, &rax);
		} else {
			stop = gm_td_accept(td, r->cpu, gpa, GM_TD_2M, 1, &left, &rax);
		}
		/* A fault: it is shared now. */
		gm_assert(stop == GM_TD_SYNC || stop == GM_TD_FAULT, "stop %d", stop);
		if (stop == GM_TD_SYNC) {
			gm_assert(accept_answer(rax), "accept of %#llx: %#llx",
				  (unsigned long long)gpa, (unsigned long long)rax);
			r->done += !rax;
		}
	}
	return NULL;
}

/* Shares, takes back and punches all but what the vCPUs own. */
static void *host(void *arg)
{
	struct racer *r = arg;
	u64 off, len;

	for (; !READ_ONCE(r->stop); r->done++) {
		off = (OWNED + gm_rand(&r->rand) % PLAYED) * GM_PAGE;
		len = (1 + gm_rand(&r->rand) % 4) * GM_PAGE;
		off += gm_rand(&r->rand) % FRAMES * GM_2M;
		switch (gm_rand(&r->rand) % 3) {
		case 0:
			gm_set_ok(&r->s->f, off, len, false);
			break;
		case 1:
			gm_set_ok(&r->s->f, off, len, true);
			break;
		default:
			gm_assert_ok(gm_punch(&r->s->f, off, len));
			break;
		}
	}
	return NULL;
}

static void storm(void)
{
	struct gm_td_scene s = gm_td_scene_open(VCPUS, FRAMES * GM_2M, 0);
	struct racer r[VCPUS + 2];
	unsigned int i, frame;
	u64 accepted = 0;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, FRAMES);
	for (i = 0; i < VCPUS + 2; i++) {
		r[i] = (struct racer) { .s = &s, .cpu = i, .rand = gm_seed + i };
		for (frame = 0; i < VCPUS && frame < FRAMES; frame++)
			gm_assert_eq(gm_td_store(s.td, i, own_page(&r[i], frame), GM_PAGE, 8,
						 SEED + i), GM_TD_SYNC);
	}
	for (i = 0; i < VCPUS + 2; i++)
		kvm_pthread_create(&r[i].thread, NULL, i < VCPUS ? racer : host, &r[i]);
	for (i = 0; i < VCPUS + 2; i++) {
		WRITE_ONCE(r[i].stop, i >= VCPUS);
		kvm_pthread_join(r[i].thread, NULL);
	}

	for (i = 0; i < VCPUS; i++) {
		accepted += r[i].done;
		for (frame = 0; frame < FRAMES; frame++)
			check_own(&r[i], frame, SEED + i);
	}
	gm_note("%llu pages accepted, %llu requests of the host", (unsigned long long)accepted,
		(unsigned long long)(r[VCPUS].done + r[VCPUS + 1].done));
	gm_assert_ge(accepted, 1);
	gm_td_assert_ledger(&s);

	/* All private once more: there is nothing that cannot be accepted. */
	gm_set_ok(&s.f, 0, s.f.size, true);
	for (frame = 0; frame < FRAMES; frame++)
		for (i = OWNED; i < 512; i++) {
			u64 left, rax;

			gm_assert_eq(gm_td_accept(s.td, 0, GM_GPA + frame * GM_2M + i * GM_PAGE,
						  GM_TD_4K, 1, &left, &rax), GM_TD_SYNC);
			gm_assert(!rax || rax >> 32 == GM_TD_ACCEPTED, "%#llx",
				  (unsigned long long)rax);
		}
	gm_assert_eq(gm_td_pages("pending"), 0);
	gm_assert_eq(gm_td_pages("mapped"), FRAMES * 512 + GM_TD_BOOT_PAGES);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* Each vCPU accepts all of it, every other one in 4 KiB. */
static void *accepter(void *arg)
{
	struct racer *r = arg;
	const bool small = r->cpu & 1;
	const u64 step = small ? GM_PAGE : GM_2M;
	u64 gpa = GM_GPA, left, rax;

	while (gpa < GM_GPA + r->s->f.size) {
		gm_assert_eq(gm_td_accept(r->s->td, r->cpu, gpa, small ? GM_TD_4K : GM_TD_2M,
					  (GM_GPA + r->s->f.size - gpa) / step, &left, &rax),
			     GM_TD_SYNC);
		gm_assert(accept_answer(rax), "%#llx", (unsigned long long)rax);
		r->done += (GM_GPA + r->s->f.size - gpa) / step - left;
		gpa = GM_GPA + r->s->f.size - left * step;
		/* What another one has, or cannot be had at that size, is left. */
		if (rax >> 32 == GM_TD_ACCEPTED || rax >> 32 == GM_TD_MISMATCH)
			gpa += step;
	}
	return NULL;
}

static void accept_mixed(void)
{
	struct gm_td_scene s = gm_td_scene_open(VCPUS, FRAMES * GM_2M, 0);
	u64 pages = 0, left, rax, gpa;
	struct racer r[VCPUS];
	unsigned int i;

	for (i = 0; i < VCPUS; i++) {
		r[i] = (struct racer) { .s = &s, .cpu = i };
		kvm_pthread_create(&r[i].thread, NULL, accepter, &r[i]);
	}
	for (i = 0; i < VCPUS; i++) {
		kvm_pthread_join(r[i].thread, NULL);
		pages += r[i].done * (i & 1 ? 1 : 512);
	}
	/* Each page was accepted once, whoever did it. */
	gm_assert_eq(pages, FRAMES * 512);
	gm_assert_eq(gm_td_pages("pending"), 0);
	for (gpa = GM_GPA; gpa < GM_GPA + s.f.size; gpa += GM_2M) {
		gm_assert_eq(gm_td_accept(s.td, 0, gpa, GM_TD_4K, 1, &left, &rax), GM_TD_SYNC);
		gm_assert_eq(rax >> 32, GM_TD_ACCEPTED);
	}
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

static const struct gm_case cases[] = {
	{ "storm", storm, .seconds = 120 },
	{ "accept_mixed", accept_mixed, .seconds = 60 },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
