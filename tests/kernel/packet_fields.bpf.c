// SPDX-License-Identifier: GPL-2.0-only
/* What a packet has with it, as a program of a CNI before or behind ours would write and see it. For tests only. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct packet_fields {
	__u32 mark, priority, tc_index, hash;
};

const volatile __u16 port; /* UDP, destination */
const volatile __u32 mark, priority, tc_index, hash; /* what packet_fields_write writes */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct packet_fields);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline int is_meant(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);

	return skb->protocol == bpf_htons(ETH_P_IP) && (void *)(udp + 1) <= end && ip->protocol == 17 &&
	       udp->dest == bpf_htons(port);
}

SEC("tc")
int packet_fields_write(struct __sk_buff *skb)
{
	if (!is_meant(skb))
		return -1;
	skb->mark = mark;
	skb->priority = priority;
	skb->tc_index = tc_index;
	bpf_set_hash(skb, hash);
	return -1;
}

SEC("tc")
int packet_fields_see(struct __sk_buff *skb)
{
	struct packet_fields fields = {skb->mark, skb->priority, skb->tc_index, skb->hash};
	__u64 one = 1, *n;

	if (!is_meant(skb))
		return -1;
	n = bpf_map_lookup_elem(&seen, &fields);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&seen, &fields, &one, BPF_ANY);
	return -1;
}
