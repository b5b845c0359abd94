// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP on an uplink: what is denied goes before the stack spends anything on it. */
#include "lib/parse.h"
#include "lib/prefilter.h"
#include "lib/verdict.h"

#define XDP_TAGS 2	/* priority tags are still in the frame here */

static __always_inline void xdp_decide(void *data, void *end, struct packet *pkt,
				       struct verdict *v)
{
	int ret = parse_l3(data, end, pkt, PARSE_IP, XDP_TAGS);
	const struct prefilter_value *match;

	if (ret == PARSE_SHORT || ret == PARSE_INVALID) {
		v->reason = DROP_INVALID;
		return;
	}
	match = ret == PARSE_OK ? prefilter_match(pkt) : NULL;
	if (!match)
		return;
	v->reason = DROP_PREFILTER;
	v->rule = match->rule;
}

SEC("xdp")
int xdp_prefilter(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data;
	void *end = (void *)(long)xdp->data_end;
	struct packet pkt = { .len = end - data };
	struct verdict v = {};

	if (!enable_prefilter)
		return XDP_PASS;
	xdp_decide(data, end, &pkt, &v);
	/* Ports are for the report only: a packet is denied whatever follows its addresses. */
	if (enable_flow_events && v.reason != DROP_INVALID)
		parse_l4(data, end, &pkt, PARSE_IP);
	return verdict_xdp(xdp, &pkt, &v);
}

char _license[] SEC("license") = "Dual BSD/GPL";
