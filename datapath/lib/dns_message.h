/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS messages (RFC 1035, 4.1), part of feature dns-visibility.
 *
 *   dns_message_begin()	what the header says; false: the message is nothing to us
 *   dns_message_read()		a round of reading question and answers into the event; false: there is
 *				more to do. In the end walk.kind says what the message is
 *
 * The first question is the question: servers refuse a message with several (RFC 9619). Names of
 * records are skipped, not compared. The response code is the header's; the upper bits that EDNS
 * adds are left out.
 */
#pragma once

#include "dns_name.h"

#include <bpf/bpf_endian.h>

/* Records, and labels of their names, that are looked at: in a round, and rounds. */
#define DNS_RECORD_STEPS 16
#define DNS_RECORD_ROUNDS 8
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
	DNS_QUERY = 1,
	DNS_RESPONSE,
	DNS_BAD,
};

enum dns_phase {
	DNS_IN_NAME = 0,
	DNS_IN_RECORDS,
	DNS_READ,
};

/* What follows a record's name; its data follow. */
struct dns_record {
	__be16 type;
	__be16 class;
	__be16 ttl[2];
	__be16 size;
};

/* A message that goes on behind the packet's end is cut, one that ends too early is malformed. */
static __always_inline void dns_cut(struct dns_scratch *s, __u8 flags)
{
	if (s->walk.partial)
		s->event.flags |= flags;
	else
		s->walk.kind = DNS_BAD;
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
	if (++s->walk.rounds < DNS_RECORD_ROUNDS)
		return DNS_STEP_MORE;
	s->event.flags |= DNS_ANSWERS_CUT;
	return DNS_STEP_DONE;
}

static __always_inline void dns_answers(struct dns_scratch *s, enum dns_step step)
{
	s->event.answer_count = s->walk.found;
	if (step == DNS_STEP_BAD)
		s->walk.kind = DNS_BAD;
	if (step != DNS_STEP_SHORT)
		return;
	/* A truncated message may end in the middle of a record. */
	if (s->event.flags & DNS_TRUNCATED)
		s->walk.partial = 1;
	dns_cut(s, DNS_ANSWERS_CUT);
}

static __always_inline void dns_question(struct __sk_buff *skb, struct dns_scratch *s,
					 enum dns_step step)
{
	struct dns_walk *walk = &s->walk;
	__be16 type;

	s->event.name_len = walk->out;
	if (step == DNS_STEP_BAD)
		walk->kind = DNS_BAD;
	if (step == DNS_STEP_SHORT)
		dns_cut(s, DNS_NAME_CUT | DNS_ANSWERS_CUT);
	if (step != DNS_STEP_DONE)
		return;
	walk->pos = walk->end + 4;
	if (walk->pos > walk->len || !dns_load(skb, s, walk->end, &type, sizeof(type))) {
		dns_cut(s, DNS_ANSWERS_CUT);
		return;
	}
	s->event.qtype = bpf_ntohs(type);
	walk->whole = 1;
	if (walk->forward)
		walk->kind = DNS_BAD;
	else if (walk->kind == DNS_RESPONSE)
		walk->phase = DNS_IN_RECORDS;
}

static __always_inline bool dns_message_begin(struct dns_scratch *s)
{
	const struct dns_header *header = &s->header;
	const bool response = header->flags[0] & DNS_FLAG_RESPONSE;
	struct dns_walk *walk = &s->walk;

	if (header->flags[0] & DNS_FLAG_OPCODE)
		return false;
	s->event.id = bpf_ntohs(header->id);
	s->event.rcode = header->flags[1] & DNS_FLAG_RCODE;
	if (header->flags[0] & DNS_FLAG_TRUNCATED)
		s->event.flags |= DNS_TRUNCATED;
	walk->pos = sizeof(*header);
	walk->answers = bpf_ntohs(header->answers);
	walk->kind = response ? DNS_RESPONSE : DNS_QUERY;
	if (header->questions)
		walk->questions = bpf_ntohs(header->questions) - 1;
	else
		walk->phase = response ? DNS_IN_RECORDS : DNS_READ;
	return true;
}

static __always_inline bool dns_message_read(struct __sk_buff *skb, struct dns_scratch *s)
{
	struct dns_walk *walk = &s->walk;
	enum dns_step step;

	if (walk->phase == DNS_IN_NAME) {
		step = dns_name_read(skb, s);
		if (step == DNS_STEP_MORE)
			return false;
		walk->phase = DNS_READ;
		walk->rounds = 0;
		dns_question(skb, s, step);
	}
	if (walk->phase == DNS_IN_RECORDS) {
		step = dns_records(skb, s);
		if (step == DNS_STEP_MORE)
			return false;
		dns_answers(s, step);
	}
	return true;
}
