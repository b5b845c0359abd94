/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names in DNS messages (RFC 1035, 4.1.4), part of feature dns-visibility.
 *
 *   dns_name_read()	expand the name at walk.pos, a part at a time, into event.name and, labels from
 *			the last to the first, into `reversed`
 *   dns_name_skip()	one step over a name; a pointer ends it and is not followed
 */
#pragma once

#include "../include/maps.h"

#include <bpf/bpf_endian.h>

/* A round is what one program does before it calls itself; the verifier walks each step of one. All of
 * them are enough for 127 labels, the root, and as many pointers: one behind each label leaves no name
 * out. Whatever pointers lead round in circles runs into this, or into the length of a name. */
#define DNS_NAME_STEPS 32
#define DNS_NAME_ROUNDS 8
#define DNS_LABEL_MAX 63
#define DNS_POINTER 0xc0

enum dns_step {
	DNS_STEP_MORE = 0,
	DNS_STEP_DONE,
	DNS_STEP_SHORT,	/* ran out of bytes */
	DNS_STEP_BAD,
};

/* `size` bytes at `pos` of the message; false: it is not that long. If it is the helper cannot fail,
 * and a branch less is one the verifier need not take in every round of a loop. */
static __always_inline bool dns_load(struct __sk_buff *skb, const struct dns_scratch *s, __u32 pos,
				     void *to, __u32 size)
{
	if (pos + size > s->walk.len)
		return false;
	bpf_skb_load_bytes(skb, s->walk.off + pos, to, size);
	return true;
}

/* Names come before what points to them. One that points forward is malformed, but there are servers
 * that read it, so it is read as well: dns-deny is not got round that way. */
static __always_inline enum dns_step dns_name_jump(struct __sk_buff *skb, struct dns_scratch *s,
						   __u32 pos)
{
	struct dns_walk *walk = &s->walk;
	__be16 pointer;
	__u32 target;

	if (!dns_load(skb, s, pos, &pointer, sizeof(pointer)))
		return DNS_STEP_SHORT;
	target = bpf_ntohs(pointer) & 0x3fff;
	if (target >= pos)
		walk->forward = 1;
	if (!walk->end)
		walk->end = pos + 2;
	walk->pos = target;
	return DNS_STEP_MORE;
}

/* The root goes where a key's prefixlen is written afterwards: its 0 is in its place already. */
static __always_inline enum dns_step dns_name_step(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	__u32 pos = walk->pos, out = walk->out, size;
	__u8 head;

	if (!dns_load(skb, s, pos, &head, sizeof(head)))
		return DNS_STEP_SHORT;
	if (head >= DNS_POINTER)
		return dns_name_jump(skb, s, pos);
	size = head + 1;
	if (size > DNS_LABEL_MAX + 1 || out + size > DNS_NAME_MAX - (size > 1))
		return DNS_STEP_BAD;
	if (!dns_load(skb, s, pos, s->reversed + ((DNS_REVERSED_END - out - size) & 511), size))
		return DNS_STEP_SHORT;
	bpf_skb_load_bytes(skb, walk->off + pos, s->event.name + (out & 255), size);
	walk->out = out + size;
	walk->pos = pos + size;
	return size > 1 ? DNS_STEP_MORE : DNS_STEP_DONE;
}

static __always_inline enum dns_step dns_name_read(struct __sk_buff *skb, struct dns_scratch *s)
{
	for (int i = 0; i < DNS_NAME_STEPS; i++) {
		enum dns_step step = dns_name_step(skb, s);

		if (step == DNS_STEP_MORE)
			continue;
		if (!s->walk.end)
			s->walk.end = s->walk.pos;
		return step;
	}
	return ++s->walk.rounds < DNS_NAME_ROUNDS ? DNS_STEP_MORE : DNS_STEP_BAD;
}

static __always_inline enum dns_step dns_name_skip(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	__u32 pos = walk->pos;
	__u8 head;

	if (!dns_load(skb, s, pos, &head, sizeof(head)))
		return DNS_STEP_SHORT;
	if (head >= DNS_POINTER) {
		walk->pos = pos + 2;
		return DNS_STEP_DONE;
	}
	walk->pos = pos + head + 1;
	if (head > DNS_LABEL_MAX)
		return DNS_STEP_BAD;
	return head ? DNS_STEP_MORE : DNS_STEP_DONE;
}
