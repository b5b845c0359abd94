/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature policy: may the pod behind this device talk to that peer?
 *
 *   policy_is_local()	did this node itself make a packet that enters the pod?
 *   policy_check()	fills reason, rule and peer identity of the verdict; callers check
 *			enable_policy
 *   policy_refused()	reason for a packet of a family that is switched off
 *
 * Only the opening direction of a connection is asked about; replies belong to it.
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"
#include "events.h"
#include "packet.h"

#include <linux/in.h>

/* Who and what is asked about, seen from the pod. */
struct policy_query {
	const union addr *peer;
	__be16 port;		/* destination port in the opening direction */
	__u8 protocol;
	__u8 direction;		/* enum policy_direction */
	bool local;		/* ingress: this node made the packets; only then IDENTITY_HOST counts */
};

/* A device that a packet came in by is remembered for as long as it is forwarded. */
static __always_inline bool policy_is_local(const struct __sk_buff *skb)
{
	return !skb->ingress_ifindex;
}

static __always_inline __u32 policy_identity(const union addr *peer, const bool v6)
{
	const struct ipcache_value *value;

	if (v6) {
		struct lpm_key6 key = { .prefixlen = 128 };

		__builtin_memcpy(key.addr, peer, sizeof(key.addr));
		value = bpf_map_lookup_elem(&ipcache6, &key);
	} else {
		struct lpm_key4 key = { .prefixlen = 32, .addr = peer->v4 };

		value = bpf_map_lookup_elem(&ipcache4, &key);
	}
	return value ? value->identity : IDENTITY_WORLD;
}

/* What has no port (ICMP, later fragments) is matched by rules that name none. */
static __always_inline struct policy_value *policy_lookup(const struct policy_query *query,
							  __u32 endpoint_id, __u32 identity)
{
	struct policy_key key = {
		.prefixlen = POLICY_PREFIX_FULL,
		.endpoint_id = endpoint_id,
		.identity = identity,
		.direction = query->direction,
		.protocol = query->protocol,
		.port = query->port,
	};

	if (query->protocol == IPPROTO_ICMP || query->protocol == IPPROTO_ICMPV6)
		key.port = 0;
	if (!key.port)
		key.prefixlen = POLICY_PREFIX_PROTO;
	return bpf_map_lookup_elem(&policy, &key);
}

static __always_inline __u8 policy_rules(const struct policy_query *query, __u32 endpoint_id,
					 struct verdict *v)
{
	const struct policy_value *own = policy_lookup(query, endpoint_id, v->peer_identity);
	const struct policy_value *any = policy_lookup(query, endpoint_id, IDENTITY_ANY);

	if (own && own->action == POLICY_DENY) {
		v->rule = own->rule;
		return DROP_POLICY;
	}
	if (any && any->action == POLICY_DENY) {
		v->rule = any->rule;
		return DROP_POLICY;
	}
	if (own) {
		v->rule = own->rule;
		return REASON_FORWARDED;
	}
	if (any) {
		v->rule = any->rule;
		return REASON_FORWARDED;
	}
	return DROP_POLICY_DEFAULT;
}

static __always_inline __u8 policy_decide(struct __sk_buff *skb, const struct policy_query *query,
					  struct verdict *v)
{
	const __u32 enforced = query->direction == POLICY_EGRESS ? ENDPOINT_ENFORCE_EGRESS
								 : ENDPOINT_ENFORCE_INGRESS;
	__u32 ifindex = skb->ifindex;
	const struct endpoint_value *pod;

	if (query->direction == POLICY_INGRESS && v->peer_identity == IDENTITY_HOST)
		return REASON_FORWARDED;
	pod = bpf_map_lookup_elem(&endpoints, &ifindex);
	if (!pod)
		return policy_default_deny ? DROP_NO_ENDPOINT : REASON_FORWARDED;
	if (!policy_default_deny && !(pod->flags & enforced))
		return REASON_FORWARDED;
	return policy_rules(query, pod->endpoint_id, v);
}

static __always_inline void policy_audit(struct verdict *v)
{
	if (policy_audit_mode && v->reason > DROP_FIRST) {
		v->reason = REASON_AUDITED;
		v->kind = FLOW_AUDIT;
	}
}

static __always_inline void policy_check(struct __sk_buff *skb, const struct policy_query *query,
					 struct verdict *v, const bool v6)
{
	v->rule = 0;
	v->peer_identity = policy_identity(query->peer, v6);
	/* SOUND: anybody can write the node's address into a packet; the node lets all of its in. */
	if (query->direction == POLICY_INGRESS && v->peer_identity == IDENTITY_HOST &&
	    !query->local)
		v->peer_identity = IDENTITY_WORLD;
	v->reason = policy_decide(skb, query, v);
	policy_audit(v);
}

/* Nobody could check a family that is off, so it must not be a way around the policies. */
static __always_inline void policy_refused(struct verdict *v)
{
	v->reason = DROP_FAMILY;
	policy_audit(v);
}
