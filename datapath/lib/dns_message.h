/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS messages (RFC 1035, 4.1), part of feature dns-visibility.
 *
 *   dns_message_read()		first question and answers of the message at walk.off, whose header has
 *				been read, into the event; says what it is
 *
 * The first question is the question: servers refuse a message with several (RFC 9619). Names of
 * records are skipped, not compared. The response code is the header's; the upper bits that EDNS
 * adds are left out.
 */
#pragma once

#include "dns_name.h"

#include <bpf/bpf_endian.h>

#define DNS_RECORD_STEPS 128	/* records and labels of their names that are looked at */
#define DNS_TYPE_A 1
#define DNS_TYPE_AAAA 28
#define DNS_CLASS_IN 1

#define DNS_FLAG_RESPONSE 0x80	/* of the first byte of flags */
#define DNS_FLAG_OPCODE 0x78
#define DNS_FLAG_TRUNCATED 0x02
#define DNS_FLAG_RECURSE 0x01
#define DNS_FLAG_RECURSES 0x80	/* of the second */
#define DNS_FLAG_ZERO 0x40
#define DNS_FLAG_RCODE 0x0f

enum dns_kind {
	DNS_NOTHING = 0,	/* not a standard query or its response */
	DNS_QUERY,
	DNS_RESPONSE,
	DNS_BAD,
};

/* What follows a record's name; its data follow. */
struct dns_record {
	__be16 type;
	__be16 class;
	__be16 ttl[2];
	__be16 size;
};

/* What it is as far as it was read. A message that goes on behind the packet's end is cut, one that ends
 * too early is malformed. Asked of the header each time: a kind kept from before the loops would have
 * the verifier walk them once for each. */
static __always_inline enum dns_kind dns_kind_of(const struct dns_scratch *s)
{
	return s->header.flags[0] & DNS_FLAG_RESPONSE ? DNS_RESPONSE : DNS_QUERY;
}

static __always_inline enum dns_kind dns_cut(struct dns_scratch *s, __u8 flags)
{
	if (!s->walk.partial)
		return DNS_BAD;
	s->event.flags |= flags;
	return dns_kind_of(s);
}

/* Bytes of the address in a record, 0: it holds none. */
static __always_inline __u32 dns_address_size(const struct dns_record *record)
{
	__u32 size = 0;

	if (record->type == bpf_htons(DNS_TYPE_A))
		size = 4;
	else if (record->type == bpf_htons(DNS_TYPE_AAAA))
		size = 16;
	if (record->class != bpf_htons(DNS_CLASS_IN) || record->size != bpf_htons(size))
		return 0;
	return size;
}

static __always_inline void dns_address(struct __sk_buff *skb, struct dns_scratch *s, __u32 pos,
					__u32 size)
{
	struct dns_answer *answer;
	__u32 count = s->walk.found;

	if (count >= DNS_ANSWERS_KEPT) {
		s->event.flags |= DNS_ANSWERS_CUT;
		s->walk.answers = 0;
		return;
	}
	answer = &s->event.answers[count & (DNS_ANSWERS_KEPT - 1)];
	answer->family = size == 4 ? 4 : 6;
	bpf_skb_load_bytes(skb, s->walk.off + pos, answer->addr, size);
	s->walk.found = count + 1;
}

static __always_inline enum dns_step dns_record(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	__u32 pos = walk->pos, size;
	struct dns_record record;

	if (!dns_load(skb, s, pos, &record, sizeof(record)))
		return DNS_STEP_SHORT;
	pos += sizeof(record);
	if (pos + bpf_ntohs(record.size) > walk->len)
		return DNS_STEP_SHORT;
	walk->pos = pos + bpf_ntohs(record.size);
	walk->answers--;
	size = dns_address_size(&record);
	if (size)
		dns_address(skb, s, pos, size);
	return DNS_STEP_MORE;
}

static __always_inline enum dns_step dns_record_step(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	enum dns_step step;

	if (!walk->answers)
		return DNS_STEP_DONE;
	step = dns_name_skip(skb, s);
	if (step != DNS_STEP_DONE)
		return step;
	if (!walk->questions)
		return dns_record(skb, s);
	walk->questions--;
	walk->pos += 4;
	return DNS_STEP_MORE;
}

static __always_inline enum dns_step dns_records(struct __sk_buff *skb, struct dns_scratch *s)
{
	for (int i = 0; i < DNS_RECORD_STEPS; i++) {
		enum dns_step step = dns_record_step(skb, s);

		if (step != DNS_STEP_MORE)
			return step;
	}
	return DNS_STEP_MORE;
}

static __always_inline enum dns_kind dns_answers(struct __sk_buff *skb, struct dns_scratch *s)
{
	enum dns_step step = dns_records(skb, s);

	s->event.answer_count = s->walk.found;
	if (step == DNS_STEP_DONE)
		return DNS_RESPONSE;
	if (step == DNS_STEP_BAD)
		return DNS_BAD;
	/* A truncated message may end in the middle of a record. */
	if (step == DNS_STEP_MORE || s->event.flags & DNS_TRUNCATED)
		s->walk.partial = 1;
	return dns_cut(s, DNS_ANSWERS_CUT);
}

static __always_inline enum dns_kind dns_question(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	enum dns_step step = dns_name_read(skb, s);
	__be16 type;

	s->event.name_len = walk->out;
	if (step == DNS_STEP_BAD)
		return DNS_BAD;
	if (step == DNS_STEP_SHORT)
		return dns_cut(s, DNS_NAME_CUT | DNS_ANSWERS_CUT);
	walk->pos = walk->end + 4;
	if (walk->pos > walk->len || !dns_load(skb, s, walk->end, &type, sizeof(type)))
		return dns_cut(s, DNS_ANSWERS_CUT);
	s->event.qtype = bpf_ntohs(type);
	walk->whole = 1;
	return walk->forward ? DNS_BAD : dns_kind_of(s);
}

static __always_inline enum dns_kind dns_message_read(struct __sk_buff *skb, struct dns_scratch *s)
{
	const struct dns_header *header = &s->header;
	enum dns_kind kind;

	if (header->flags[0] & DNS_FLAG_OPCODE)
		return DNS_NOTHING;
	s->event.id = bpf_ntohs(header->id);
	if (header->flags[0] & DNS_FLAG_TRUNCATED)
		s->event.flags |= DNS_TRUNCATED;
	s->event.rcode = header->flags[1] & DNS_FLAG_RCODE;
	s->walk.pos = sizeof(*header);
	s->walk.answers = bpf_ntohs(header->answers);
	if (header->questions) {
		s->walk.questions = bpf_ntohs(header->questions) - 1;
		kind = dns_question(skb, s);
	} else {
		kind = dns_kind_of(s);
	}
	if (kind != DNS_RESPONSE || s->event.flags & DNS_ANSWERS_CUT)
		return kind;
	return dns_answers(skb, s);
}
