/* SPDX-License-Identifier: GPL-2.0-only */
/* Header blocks of HTTP/2 (HPACK, RFC 7541): :status and grpc-status. All fields are walked through by their lengths. What is put into
 * the dynamic table is counted, and the numbers under which a status was put there are remembered: an index counts back from the
 * newest entry, so it tells the number. Evictions need not be followed, as an index never names what is gone. */
#ifndef FAULTLINE_FLOW_HPACK_BPF_H
#define FAULTLINE_FLOW_HPACK_BPF_H

#include "flow_http2_abi.h"
#include "flow_segment.bpf.h"

#define FL_FORM_INDEXED 0x80 /* RFC 7541 section 6.1 */
#define FL_FORM_STORED 0x40  /* 6.2.1: a literal that is put into the table */
#define FL_FORM_SIZE 0x20    /* 6.3: another size of the table */
#define FL_STATIC_STATUS 8   /* the static table has :status at 8 to 14 */
#define FL_STATIC_ENTRIES 61

/* The number that a string of up to three digits is; FL_VALUE_UNKNOWN: it is none. Huffman codes of RFC 7541
 * appendix B: 0 to 2 have five bits, 3 to 9 have six, the rest is filled with ones. */
static __always_inline __u32 fl_field_digits(__u64 text, __u32 length, __u32 huffman)
{
	__u32 value = 0, bits, digits = 0, i;

	if (length < 1 || length > 3)
		return FL_VALUE_UNKNOWN;
	bits = length * 8;
	text <<= (64 - bits) & 63;
	for (i = 0; i < 3; i++) {
		__u32 five = text >> 59, six = text >> 58;

		if (!huffman) {
			__u32 c = text >> 56;

			if (i >= length)
				break;
			if (c < '0' || c > '9')
				return FL_VALUE_UNKNOWN;
			value = value * 10 + (c - '0');
			text <<= 8;
			bits -= 8;
		} else if (bits >= 5 && five <= 2) {
			value = value * 10 + five;
			text <<= 5;
			bits -= 5;
		} else if (bits >= 6 && six >= 0x19 && six <= 0x1f) {
			value = value * 10 + (six - 0x19 + 3);
			text <<= 6;
			bits -= 6;
		} else {
			break;
		}
		digits++;
	}
	if (!digits || bits > 7)
		return FL_VALUE_UNKNOWN;
	if (bits && text >> ((64 - bits) & 63) != (1u << bits) - 1)
		return FL_VALUE_UNKNOWN;
	return value;
}

/* What the entry of the dynamic table with this index is: name << 12 | value, 0 when it is neither status. */
static __always_inline __u32 fl_field_known(const struct fl_h2_fields *f, __u32 index)
{
	__u32 number = f->inserted - (index - FL_STATIC_ENTRIES), i;

	if (f->torn)
		return FL_NAME_UNKNOWN << 12;
#pragma unroll
	for (i = 0; i < FL_H2_KNOWN; i++)
		if (f->known_what[i] && f->known[i] == number)
			return f->known_what[i];
	/* Of those that are older than all that are remembered, some may be forgotten. */
	if (f->stored > FL_H2_KNOWN) {
#pragma unroll
		for (i = 0; i < FL_H2_KNOWN; i++)
			if (!fl_is_after(f->known[i], number))
				return 0;
		return FL_NAME_UNKNOWN << 12;
	}
	return 0;
}

/* The block has this field. */
static __always_inline void fl_field_seen(struct fl_h2_fields *f, __u32 what)
{
	__u32 name = what >> 12, value = what & 0xfff;

	if (name == FL_NAME_UNKNOWN || (name && value == FL_VALUE_UNKNOWN))
		f->unknown = 1;
	else if (name == FL_NAME_STATUS)
		f->status = value;
	else if (name == FL_NAME_GRPC)
		f->grpc = value;
}

static __always_inline void fl_field_indexed(struct fl_h2_fields *f)
{
	__u32 index = f->number;

	if (index > FL_STATIC_ENTRIES) {
		fl_field_seen(f, fl_field_known(f, index));
		return;
	}
	switch (index) {
	case 8:
		f->status = 200;
		break;
	case 9:
		f->status = 204;
		break;
	case 10:
		f->status = 206;
		break;
	case 11:
		f->status = 304;
		break;
	case 12:
		f->status = 400;
		break;
	case 13:
		f->status = 404;
		break;
	case 14:
		f->status = 500;
		break;
	}
}

static __always_inline __u32 fl_field_indexed_name(const struct fl_h2_fields *f)
{
	if (f->number > FL_STATIC_ENTRIES)
		return fl_field_known(f, f->number) >> 12;
	return f->number >= 8 && f->number <= 14 ? FL_NAME_STATUS : FL_NAME_OTHER;
}

/* The name that was read, as text or coded by Huffman. */
static __always_inline __u32 fl_field_literal_name(const struct fl_h2_fields *f)
{
	__u64 newest = f->text[1];

	if (f->huffman) {
		if (f->length == 8 && newest == 0x9acac8b21234da8full)
			return FL_NAME_GRPC;
		return f->length == 5 && newest == 0xb8848d36a3ull ? FL_NAME_STATUS : FL_NAME_OTHER;
	}
	if (f->length == 11 && f->text[0] == 0x677270 && newest == 0x632d737461747573ull) /* "grpc-status" */
		return FL_NAME_GRPC;
	return f->length == 7 && newest == 0x3a737461747573ull ? FL_NAME_STATUS : FL_NAME_OTHER; /* ":status" */
}

/* The field's value was read, so the field is whole. */
static __always_inline void fl_field_over(struct fl_h2_fields *f)
{
	__u32 what = 0, value;

	if (f->name == FL_NAME_UNKNOWN) {
		what = FL_NAME_UNKNOWN << 12;
	} else if (f->name != FL_NAME_OTHER) {
		value = fl_field_digits(f->text[1], f->length, f->huffman);
		if (f->name == FL_NAME_GRPC && value != FL_VALUE_UNKNOWN)
			value++;
		what = (__u32)f->name << 12 | (value & 0xfff);
	}
	fl_field_seen(f, what);
	if (f->form == FL_FORM_STORED) {
		if (what) {
			__u64 place = f->stored;

			asm volatile("" : "+r"(place)); /* else the compiler drops the mask that the verifier wants */
			place &= FL_H2_KNOWN - 1;
			f->known[place] = f->inserted;
			f->known_what[place] = what;
			f->stored++;
		}
		f->inserted++;
	}
	f->piece = FL_FIELD_FIRST;
}

/* Bytes of a string: those that may be a status or its name are kept, others are passed over. Returns how many were taken. */
static __always_inline __u32 fl_field_string(struct fl_h2_fields *f, __u64 bytes, __u32 n)
{
	if (n > f->left)
		n = f->left;
	if (f->piece == FL_FIELD_NAME ? f->length <= 11 : f->name && f->length <= 3) {
		if (n > 8)
			n = 8;
		if (n == 8) {
			f->text[0] = f->text[1];
			f->text[1] = bytes;
		} else {
			__u32 shift = (n * 8) & 63;

			f->text[0] = f->text[0] << shift | f->text[1] >> ((64 - shift) & 63);
			f->text[1] = f->text[1] << shift | bytes >> ((64 - shift) & 63);
		}
	}
	f->left -= n;
	if (f->left)
		return n;
	if (f->piece == FL_FIELD_NAME) {
		f->name = fl_field_literal_name(f);
		f->piece = FL_FIELD_VALUE_LENGTH;
	} else {
		fl_field_over(f);
	}
	return n;
}

/* One more byte of an integer (RFC 7541 section 5.1). 1: it is whole; 0: it goes on; -1: it is none. */
static __always_inline int fl_field_integer(struct fl_h2_fields *f, __u32 byte, __u32 mask)
{
	__u32 shift = f->shift;

	if (!shift) {
		f->number = byte & mask;
		f->shift = f->number == mask;
		return f->number != mask;
	}
	if (shift > 22)
		return -1;
	f->number += (byte & 0x7f) << (shift - 1);
	f->shift = byte & 0x80 ? shift + 7 : 0;
	return !(byte & 0x80);
}

/* Takes of the next `n` bytes of the block, the first 8 of which are in `bytes`, the oldest is the highest. Returns how many; 0: this
 * is no header block. Not static, as fl_flow_add_time(). */
__noinline __u32 fl_field_step(struct fl_h2_fields *f, __u64 bytes, __u32 n)
{
	__u32 byte, mask = 0x7f;
	int whole;

	if (!f)
		return 0;
	if (f->piece == FL_FIELD_NAME || f->piece == FL_FIELD_VALUE)
		return fl_field_string(f, bytes, n);
	byte = bytes >> 56;
	if (f->piece == FL_FIELD_FIRST) {
		if (!f->shift)
			f->form = byte & 0x80 ? 0x80 : byte & 0x40 ? 0x40 : byte & 0x20 ? 0x20 : 0;
		mask = f->form == 0x80 ? 0x7f : f->form == 0x40 ? 0x3f : f->form == 0x20 ? 0x1f : 0x0f;
	} else if (!f->shift) {
		f->huffman = byte >> 7;
	}
	whole = fl_field_integer(f, byte, mask);
	if (whole <= 0)
		return whole == 0;
	if (f->piece == FL_FIELD_FIRST) {
		if (f->form == FL_FORM_INDEXED) {
			fl_field_indexed(f);
			return f->number != 0;
		}
		if (f->form == FL_FORM_SIZE)
			return 1;
		f->name = f->number ? fl_field_indexed_name(f) : FL_NAME_OTHER;
		f->piece = f->number ? FL_FIELD_VALUE_LENGTH : FL_FIELD_NAME_LENGTH;
		return 1;
	}
	f->left = f->number;
	f->length = f->number < 255 ? f->number : 255;
	f->text[0] = 0;
	f->text[1] = 0;
	if (f->piece == FL_FIELD_NAME_LENGTH)
		f->piece = f->left ? FL_FIELD_NAME : FL_FIELD_VALUE_LENGTH;
	else if (f->left)
		f->piece = FL_FIELD_VALUE;
	else
		fl_field_over(f);
	return 1;
}

#endif
