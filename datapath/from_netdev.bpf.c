// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* tc ingress of an uplink: watches, never drops. */
#include "lib/parse.h"
#include "lib/verdict.h"

SEC("tc")
int from_netdev(struct __sk_buff *skb)
{
	struct verdict v = {};
	struct packet pkt;

	if (!enable_datapath_metrics && !enable_flow_events)
		return TC_ACT_UNSPEC;
	if (parse_skb(skb, &pkt, PARSE_IP) != PARSE_OK)
		pkt.family = 0; /* counted, but nothing to tell of */
	return verdict_tc(skb, &pkt, &v, HOOK_FROM_NETDEV);
}

char _license[] SEC("license") = "Dual BSD/GPL";
