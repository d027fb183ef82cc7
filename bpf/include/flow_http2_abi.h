/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What packet_flow remembers of connections of HTTP/2 in the clear, and of the requests on their streams. */
#ifndef FAULTLINE_FLOW_HTTP2_ABI_H
#define FAULTLINE_FLOW_HTTP2_ABI_H

#include "flow_abi.h"

#define FL_H2_CONNECTIONS 8192 /* followed at once; those that find no place are FL_GAP_HTTP2 */
#define FL_H2_STREAMS 16384    /* requests under way on all of them; those that find no place are FL_GAP_H2_FULL */
#define FL_H2_REFUSED 512      /* streams that are looked for when a GOAWAY refuses them */
#define FL_H2_HELD 1024        /* segments that are held at once, one a direction; those that find no place are a loss */
#define FL_H2_HELD_BYTES 2048  /* of each; longer ones are a loss */
#define FL_H2_KNOWN 8          /* headers of the dynamic table that are remembered: statuses of HTTP and gRPC */

/* Pieces of a frame. */
#define FL_H2_LENGTH 0u /* length, type, flags */
#define FL_H2_STREAM 1u
#define FL_H2_PAD 2u    /* the length of the padding */
#define FL_H2_BLOCK 3u  /* a part of a header block */
#define FL_H2_LAST 4u   /* of GOAWAY: the last stream */
#define FL_H2_REST 5u   /* what is not looked at, up to the frame's end */

#define FL_H2_ENDS_STREAM 1u
#define FL_H2_PROMISES 2u /* it is of a PUSH_PROMISE */

/* One direction. It is read piece by piece, and a piece may be spread over segments. */
struct fl_h2_way {
	__u64 began_ns;  /* when the first byte of the frame came */
	__u64 head;      /* the first `have` bytes of the piece that is being read, the oldest is the highest */
	__u32 at;        /* sequence number of the next byte to look at */
	__u32 end;       /* sequence number after the frame */
	__u32 block_end; /* sequence number after the frame's part of a header block */
	__u32 stream;    /* of the frame */
	__u8 piece;      /* FL_H2_LENGTH and those after it */
	__u8 have;
	__u8 type; /* of the frame */
	__u8 flags;
	__u8 ends;    /* the frame, or the header block that is being read: FL_H2_ENDS_STREAM, FL_H2_PROMISES or 0 */
	__u8 in_block; /* a header block goes on in the next frame */
	__u8 lost;    /* frames were lost; a segment is awaited that is known to begin with a frame */
	__u8 missed;  /* it was lost: the client's next stream tells how many requests were not seen */
	__u8 holds;   /* a segment has overtaken others and waits for them in fl_flow_held */
	__u8 _pad[7];
};

/* Pieces of a header field. */
#define FL_FIELD_FIRST 0u /* how it is written, and an index */
#define FL_FIELD_NAME_LENGTH 1u
#define FL_FIELD_NAME 2u
#define FL_FIELD_VALUE_LENGTH 3u
#define FL_FIELD_VALUE 4u

/* Names of headers. */
#define FL_NAME_OTHER 0u
#define FL_NAME_STATUS 1u  /* :status */
#define FL_NAME_GRPC 2u    /* grpc-status */
#define FL_NAME_UNKNOWN 3u /* an entry of the table that is not remembered */
#define FL_VALUE_UNKNOWN 0xfffu

/* The server's header blocks (RFC 7541). The dynamic table is not kept: each entry has a number, counted from the connection's
 * first, and what the numbers of statuses stand for is remembered. */
struct fl_h2_fields {
	__u64 text[2];   /* the last 16 bytes of the string that is being read, [1] has the newest */
	__u64 began_ns;  /* when the block's first frame began */
	__u32 number;    /* the integer that is being read */
	__u32 left;      /* bytes of the string that are to come */
	__u32 inserted;  /* entries that were ever put into the table */
	__u32 stored;    /* of these, those that are or were remembered */
	__u32 known[FL_H2_KNOWN];       /* number of an entry */
	__u16 known_what[FL_H2_KNOWN]; /* name << 12 | value; 0: none */
	__u16 status; /* of the block; 0: none was seen */
	__u16 grpc;   /* 1 + grpc-status of the block; 0: none was seen */
	__u8 piece;   /* FL_FIELD_FIRST and those after it */
	__u8 shift;   /* of the integer that is being read; 0: its first byte is to come */
	__u8 form;    /* of the field: its first byte without the integer */
	__u8 name;    /* FL_NAME_OTHER and those after it */
	__u8 huffman; /* the string is coded so */
	__u8 length;  /* of the string; 255: or longer */
	__u8 torn;    /* a part of a block was lost, so numbers of entries are not known any more */
	__u8 unknown; /* the block has a field that may be a status and is not known */
	__u32 _pad;
};

struct fl_h2_connection {
	struct fl_h2_way way[2]; /* of the client, of the server */
	struct fl_h2_fields fields;
	__u64 epoch;   /* unlike that of any other connection, and another after a loss: of the streams that are measured */
	__u32 newest;  /* the highest stream of the client */
	__u32 last;    /* the highest stream that the server will process, by its GOAWAY */
	__s32 waiting;   /* requests under way that are not answered */
	__s32 answering; /* answers under way */
	__u32 busy[2];   /* a CPU reads a segment of this direction */
	__u32 skipped[2]; /* a segment was not read, as another CPU was busy for long */
};

/* Value of the map fl_flow_streams; its key is that of the connection, with the stream. */
struct fl_h2_stream {
	__u64 epoch;
	__u64 asked_ns;   /* the request's first byte */
	__u64 pending_ns; /* its last; 0: it is to come */
	__u64 waits;      /* it has no answer */
	__u64 failed;     /* it has counted as failed */
};

/* Value of the map fl_flow_held: a segment that has overtaken others; `stream` of its key is the direction. */
struct fl_h2_held {
	__u32 seq;
	__u32 payload; /* bytes */
	__u8 data[FL_H2_HELD_BYTES];
};

FL_STATIC_ASSERT(sizeof(struct fl_h2_way) == 48, "fl_h2_way");
FL_STATIC_ASSERT(sizeof(struct fl_h2_fields) == 104, "fl_h2_fields");
FL_STATIC_ASSERT(offsetof(struct fl_h2_fields, known) == 40, "fl_h2_fields.known");
FL_STATIC_ASSERT(sizeof(struct fl_h2_connection) == 240, "fl_h2_connection");
FL_STATIC_ASSERT(sizeof(struct fl_h2_stream) == 40, "fl_h2_stream");

#endif
