/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature conntrack: find and follow the connection a packet belongs to.
 *
 *   ct_key_of()	key under which a packet's connection stands
 *   ct_key_set_peer()	the same pod side, another peer: key of the twin of a NAT pair
 *   ct_lookup() ct_update() ct_delete()	the table of the family; while it moves, both
 *   ct_live()		not expired, not closed
 *   ct_find()		entry that a packet continues, or NULL: the packet is the first of its flow
 *   ct_is_stale()	policy must be asked: it has changed since the verdict, or it was a denial
 *   ct_deny()	policy has come to deny the connection: nothing passes, in either direction
 *   ct_follow()	account a packet to its entry: state, expiry, twin, close event
 *   ct_count()		the packet and byte counters alone
 *   ct_epoch()		policy epoch in force, 0 while policy is off
 *
 * `v6` is a literal at every call, so that each program holds the code of its families only.
 * Entries are shared between CPUs: flags change by atomic OR; the rest is written at creation or is
 * a timestamp or a counter, where the last writer may win.
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"
#include "events.h"
#include "packet.h"

#include <linux/in.h>

union ct_key {
	struct ct_key4 v4;
	struct ct_key6 v6;
	__u64 d[5];
};

#define CT_NAT (CT_NAT_FRONT | CT_NAT_BACK)
/* State that both entries of a NAT pair know. */
#define CT_SHARED                                                                                  \
	(CT_SEEN_REPLY | CT_ESTABLISHED | CT_FIN_FROM_POD | CT_FIN_TO_POD | CT_RST)

static __always_inline const union addr *ct_nat_addr(const struct ct_entry *entry)
{
	return (const union addr *)entry->nat_addr;
}

static __always_inline void ct_key_init(union ct_key *key, const union addr *pod,
					const union addr *peer, __be16 pod_port, __be16 peer_port,
					__u8 protocol, const bool v6)
{
	if (v6) {
		key->d[0] = pod->d[0];
		key->d[1] = pod->d[1];
		key->d[2] = peer->d[0];
		key->d[3] = peer->d[1];
		key->d[4] = 0;
		key->v6.pod_port = pod_port;
		key->v6.peer_port = peer_port;
		key->v6.protocol = protocol;
	} else {
		key->d[1] = 0;
		key->v4.pod = pod->v4;
		key->v4.peer = peer->v4;
		key->v4.pod_port = pod_port;
		key->v4.peer_port = peer_port;
		key->v4.protocol = protocol;
	}
}

static __always_inline void ct_key_of(union ct_key *key, const struct packet *pkt, const int dir,
				      const bool v6)
{
	if (dir == POLICY_EGRESS)
		ct_key_init(key, &pkt->saddr, &pkt->daddr, pkt->sport, pkt->dport, pkt->protocol,
			    v6);
	else
		ct_key_init(key, &pkt->daddr, &pkt->saddr, pkt->dport, pkt->sport, pkt->protocol,
			    v6);
}

static __always_inline void ct_key_set_peer(union ct_key *key, const union addr *peer, __be16 port,
					    const bool v6)
{
	if (v6) {
		key->d[2] = peer->d[0];
		key->d[3] = peer->d[1];
		key->v6.peer_port = port;
	} else {
		key->v4.peer = peer->v4;
		key->v4.peer_port = port;
	}
}

static __always_inline void ct_key_peer(const union ct_key *key, union addr *peer, __be16 *port,
					const bool v6)
{
	*peer = (union addr){};
	if (v6) {
		peer->d[0] = key->d[2];
		peer->d[1] = key->d[3];
		*port = key->v6.peer_port;
	} else {
		peer->v4 = key->v4.peer;
		*port = key->v4.peer_port;
	}
}

static __always_inline struct ct_entry *ct_lookup_new(const union ct_key *key, const bool v6)
{
	if (v6)
		return bpf_map_lookup_elem(&ct6, key);
	return bpf_map_lookup_elem(&ct4, key);
}

/* The entry comes along from the table of another size. Programs of the generation before may run at
 * the other hook of the same device for some microseconds more; see ADR 0014. */
static __always_inline struct ct_entry *ct_fetch(const union ct_key *key, const bool v6)
{
	struct ct_entry *entry, *old;

	if (v6) {
		old = bpf_map_lookup_elem(&ct6_old, key);
		if (!old)
			return NULL;
		bpf_map_update_elem(&ct6, key, old, BPF_NOEXIST);
	} else {
		old = bpf_map_lookup_elem(&ct4_old, key);
		if (!old)
			return NULL;
		bpf_map_update_elem(&ct4, key, old, BPF_NOEXIST);
	}
	entry = ct_lookup_new(key, v6);
	return entry ? entry : old;
}

static __always_inline struct ct_entry *ct_lookup(const union ct_key *key, const bool v6)
{
	struct ct_entry *entry = ct_lookup_new(key, v6);

	if (ct_moving && !entry)
		entry = ct_fetch(key, v6);
	return entry;
}

/* While the table moves, what is new goes into both: the programs of either generation see it. */
static __always_inline long ct_update(const union ct_key *key, const struct ct_entry *entry,
				      __u64 flags, const bool v6)
{
	long ret;

	if (v6) {
		ret = bpf_map_update_elem(&ct6, key, entry, flags);
		if (ct_moving && !ret)
			bpf_map_update_elem(&ct6_old, key, entry, BPF_ANY);
	} else {
		ret = bpf_map_update_elem(&ct4, key, entry, flags);
		if (ct_moving && !ret)
			bpf_map_update_elem(&ct4_old, key, entry, BPF_ANY);
	}
	return ret;
}

static __always_inline void ct_delete(const union ct_key *key, const bool v6)
{
	if (v6) {
		if (ct_moving)
			bpf_map_delete_elem(&ct6_old, key);
		bpf_map_delete_elem(&ct6, key);
	} else {
		if (ct_moving)
			bpf_map_delete_elem(&ct4_old, key);
		bpf_map_delete_elem(&ct4, key);
	}
}

static __always_inline bool ct_closed(__u32 flags)
{
	const __u32 fins = CT_FIN_FROM_POD | CT_FIN_TO_POD;

	return flags & CT_RST || (flags & fins) == fins;
}

static __always_inline bool ct_expired(const struct ct_entry *entry, __u64 now)
{
	return (__s64)(entry->expires - now) <= 0;
}

static __always_inline bool ct_live(const struct ct_entry *entry, __u64 now)
{
	return !ct_expired(entry, now) && !ct_closed(entry->flags);
}

/* A closed connection still takes its last packets, but a SYN begins another one. A denied one
 * takes nothing, but a SYN by either side is judged as the beginning of another. */
static __always_inline struct ct_entry *ct_find(const union ct_key *key, const struct packet *pkt,
						__u64 now, const bool v6)
{
	struct ct_entry *entry = ct_lookup(key, v6);

	if (!entry || ct_expired(entry, now))
		return NULL;
	if ((pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	    (ct_closed(entry->flags) || (enable_policy && entry->flags & CT_DENIED)))
		return NULL;
	return entry;
}

static __always_inline __u32 ct_epoch(void)
{
	__u32 zero = 0;
	__u32 *epoch;

	if (!enable_policy)
		return 0;
	epoch = bpf_map_lookup_elem(&policy_epoch, &zero);
	return epoch ? *epoch : 0;
}

/* Epoch 0 stands for "never checked": entries made while policy was off carry it. */
static __always_inline bool ct_is_stale(const struct ct_entry *entry)
{
	if (!enable_policy)
		return false;
	if (!entry->epoch || entry->epoch != ct_epoch())
		return true;
	if (entry->flags & CT_DENIED)
		return true;
	/* Whoever leaves audit mode wants what it let pass to be denied. */
	return !policy_audit_mode && entry->flags & CT_AUDITED;
}

static __always_inline __u64 ct_lifetime(__u32 flags, __u8 protocol)
{
	__u64 seconds = ct_any_timeout;

	if (protocol == IPPROTO_TCP) {
		if (ct_closed(flags))
			seconds = ct_tcp_close_timeout;
		else if (flags & CT_ESTABLISHED)
			seconds = ct_tcp_timeout;
		else
			seconds = ct_tcp_syn_timeout;
	}
	return seconds * kernel_hz;
}

/* `flags` and `nat_port` share a word; BPF has no narrower atomics. Returns the flags as they were. */
static __always_inline __u32 ct_flags_or(struct ct_entry *entry, __u32 bits)
{
	__u32 *word = (__u32 *)&entry->flags;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __sync_fetch_and_or(word, bits) & 0xffff;
#else
	return __sync_fetch_and_or(word, bits << 16) >> 16;
#endif
}

static __always_inline void ct_flags_clear(struct ct_entry *entry, __u32 bits)
{
	__u32 *word = (__u32 *)&entry->flags;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__sync_fetch_and_and(word, ~bits);
#else
	__sync_fetch_and_and(word, ~(bits << 16));
#endif
}

/* Flags that a packet adds to what is known of its connection. */
static __always_inline __u32 ct_flags_of(const struct packet *pkt, __u32 flags, const int dir)
{
	__u32 add = 0;
	bool by_opener = !!(flags & CT_OPENED_BY_POD) == (dir == POLICY_EGRESS);

	if (!by_opener)
		add |= CT_SEEN_REPLY;
	if ((flags | add) & CT_SEEN_REPLY && !(pkt->tcp_flags & TCP_SYN))
		add |= CT_ESTABLISHED;
	if (pkt->tcp_flags & TCP_FIN)
		add |= dir == POLICY_EGRESS ? CT_FIN_FROM_POD : CT_FIN_TO_POD;
	if (pkt->tcp_flags & TCP_RST)
		add |= CT_RST;
	return add & ~flags;
}

/* Other entry of a NAT pair, made again if it was evicted. NULL if its place is taken. */
static __always_inline struct ct_entry *ct_twin(const struct ct_entry *entry,
						const union ct_key *key, const bool v6)
{
	union ct_key twin_key = *key;
	struct ct_entry copy = {};
	struct ct_entry *twin;
	union addr peer;
	__be16 port;

	ct_key_set_peer(&twin_key, ct_nat_addr(entry), entry->nat_port, v6);
	ct_key_peer(key, &peer, &port, v6);
	twin = ct_lookup(&twin_key, v6);
	if (!twin) {
		copy.expires = entry->expires;
		copy.epoch = entry->epoch;
		copy.rule = entry->rule;
		copy.peer_identity = entry->peer_identity;
		copy.flags = entry->flags ^ CT_NAT;
		copy.nat_port = port;
		__builtin_memcpy(copy.nat_addr, &peer, sizeof(copy.nat_addr));
		ct_update(&twin_key, &copy, BPF_NOEXIST, v6);
		twin = ct_lookup(&twin_key, v6);
	}
	if (!twin || ((twin->flags ^ entry->flags) & CT_NAT) != CT_NAT)
		return NULL;
	if (twin->nat_port != port || !addr_equal(ct_nat_addr(twin), &peer, v6))
		return NULL;
	return twin;
}

/* SOUND: the entry stays, and lives on while packets come. Without it, what the other side sends
 * would be a flow that the other side opens, and the packets denied here would be its replies. */
static __always_inline void ct_deny(struct ct_entry *entry, const union ct_key *key,
				    const struct packet *pkt, const struct verdict *v, __u64 now,
				    const bool v6)
{
	const __u64 lifetime = pkt->protocol == IPPROTO_TCP ? ct_tcp_timeout : ct_any_timeout;
	const __u64 expires = now + lifetime * kernel_hz;
	struct ct_entry *twin;

	if (entry->flags & CT_DENIED && (__s64)(expires - entry->expires) < kernel_hz)
		return;
	entry->peer_identity = v->peer_identity;
	entry->expires = expires;
	ct_flags_or(entry, CT_DENIED);
	if (enable_load_balancer && entry->flags & CT_NAT) {
		twin = ct_twin(entry, key, v6);
		if (twin) {
			twin->expires = expires;
			ct_flags_or(twin, CT_DENIED);
		}
	}
}

static __always_inline void ct_report_close(struct verdict *v, const struct ct_entry *entry)
{
	v->packets += entry->packets[0] + entry->packets[1];
	v->bytes += entry->bytes[0] + entry->bytes[1];
}

/* The rare part of following: the state changed, or a second has passed. The front entry of a pair
 * judges whether this packet closed the connection, so that it is told once. */
static __always_inline void ct_refresh(struct ct_entry *entry, const union ct_key *key,
				       const struct packet *pkt, struct verdict *v, __u32 add,
				       __u64 now, const bool v6)
{
	struct ct_entry *twin = NULL;
	__u32 before = ct_flags_or(entry, add);
	__u32 after = before | add;

	if (enable_load_balancer && before & CT_NAT) {
		twin = ct_twin(entry, key, v6);
		if (twin) {
			__u32 known = ct_flags_or(twin, after & CT_SHARED);

			if (before & CT_NAT_BACK)
				before = known;
			after |= known & CT_SHARED;
			twin->expires = now + ct_lifetime(after, pkt->protocol);
		}
	}
	entry->expires = now + ct_lifetime(after, pkt->protocol);
	if (enable_flow_events && !ct_closed(before) && ct_closed(after)) {
		v->kind = FLOW_CLOSE;
		ct_report_close(v, entry);
		if (twin)
			ct_report_close(v, twin);
	}
}

static __always_inline void ct_count(struct ct_entry *entry, const struct packet *pkt,
				     const int dir)
{
	if (enable_flow_events) {
		__sync_fetch_and_add(&entry->packets[dir], 1);
		__sync_fetch_and_add(&entry->bytes[dir], pkt->len);
	}
}

static __always_inline void ct_follow(struct ct_entry *entry, const union ct_key *key,
				      const struct packet *pkt, struct verdict *v, const int dir,
				      __u64 now, const bool v6)
{
	__u32 add = ct_flags_of(pkt, entry->flags, dir);
	__u64 expires = now + ct_lifetime(entry->flags | add, pkt->protocol);

	ct_count(entry, pkt, dir);
	v->rule = entry->rule;
	v->peer_identity = entry->peer_identity;
	if (enable_policy && policy_audit_mode && entry->flags & CT_AUDITED)
		v->reason = REASON_AUDITED;
	if (add || (__s64)(expires - entry->expires) >= kernel_hz)
		ct_refresh(entry, key, pkt, v, add, now, v6);
}
