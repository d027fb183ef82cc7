// SPDX-License-Identifier: Apache-2.0
// The addresses of several filters in the same two tries, as programs that serve many pods have
// them: each finds its own, and leaves nothing.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/kernel/fd.h"
#include "agent/kernel/net_filter.h"

namespace faultline::test {
namespace {

using agent::FilterMaps;
using agent::NetFilter;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// A trie as fl_peers is, with room for so many addresses.
class Trie {
 public:
  explicit Trie(unsigned room) : fd_(create(room)) {
    if (!fd_.valid()) throw std::runtime_error("cannot make an LPM trie");
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // "1: 10.0.0.1": the set and the address, of all that are there.
  [[nodiscard]] std::vector<std::string> content() const {
    std::vector<std::string> all;
    fl_address_key key{}, next{};
    for (int rc = bpf_map_get_next_key(fd_.get(), nullptr, &next); rc == 0;
         rc = bpf_map_get_next_key(fd_.get(), &key, &next)) {
      key = next;
      char text[INET_ADDRSTRLEN] = "";
      ::inet_ntop(AF_INET, key.addr + 12, text, sizeof text);
      all.push_back(std::to_string(key.set) + ": " + text);
    }
    return all;
  }

 private:
  static agent::Fd create(unsigned room) {
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
    return agent::Fd(bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "fl_test_trie", sizeof(fl_address_key),
                                    sizeof(std::uint32_t), room, &opts));
  }
  agent::Fd fd_;
};

class NetFilterSets : public testing::Test {
 protected:
  Result<FilterMaps> fill(std::uint32_t set, const std::vector<const char*>& peers,
                          const std::vector<const char*>& exceptions) {
    api::NetworkFilter filter;
    for (const char* text : peers) filter.cidrs.push_back(api::Cidr::parse(text).value());
    for (const char* text : exceptions) {
      if (!filter.except) filter.except.emplace();
      filter.except->cidrs.push_back(api::Cidr::parse(text).value());
    }
    NetFilter made = agent::make_filter(filter, {}).value();
    made.rules.address_set = set;
    return FilterMaps::fill(filter, made, peers_.fd(), exceptions_.fd());
  }
  Result<FilterMaps> fill_by_peer(std::uint32_t set, const std::vector<std::string>& peers) {
    NetFilter made = agent::make_filter(by_peer_, {.only = peers, .except = {}}).value();
    made.rules.address_set = set;
    return FilterMaps::fill(by_peer_, made, peers_.fd(), exceptions_.fd());
  }
  api::NetworkFilter by_peer_ = [] {
    api::NetworkFilter filter;
    filter.peer = api::Selector{.namespaces = {"shop"}};
    return filter;
  }();
  Trie peers_{4}, exceptions_{4};
};

TEST_F(NetFilterSets, TheSameAddressIsOneOfEachAndGoesWithItsOwner) {
  auto first = fill(1, {"10.0.0.1"}, {"10.0.0.9"});
  auto second = fill(2, {"10.0.0.1", "10.0.0.2"}, {});
  ASSERT_TRUE(first && second);
  EXPECT_THAT(peers_.content(), UnorderedElementsAre("1: 10.0.0.1", "2: 10.0.0.1", "2: 10.0.0.2"));
  EXPECT_THAT(exceptions_.content(), ElementsAre("1: 10.0.0.9"));
  ASSERT_TRUE(first->clear());
  EXPECT_THAT(peers_.content(), UnorderedElementsAre("2: 10.0.0.1", "2: 10.0.0.2"));
  EXPECT_THAT(exceptions_.content(), IsEmpty());
  ASSERT_TRUE(second->clear());
  EXPECT_THAT(peers_.content(), IsEmpty());
}

TEST_F(NetFilterSets, WhatDoesNotFitLeavesNothing) {
  const auto others = fill(1, {"10.0.0.1", "10.0.0.2"}, {});
  ASSERT_TRUE(others);
  EXPECT_FALSE(fill(2, {"10.0.0.1", "10.0.0.2", "10.0.0.3"}, {"10.0.0.9"}));
  EXPECT_THAT(peers_.content(), UnorderedElementsAre("1: 10.0.0.1", "1: 10.0.0.2"));
  EXPECT_THAT(exceptions_.content(), IsEmpty());
}

TEST_F(NetFilterSets, AfterAChangeThatFailedTheNextOneIsWhole) {
  auto maps = fill_by_peer(3, {"10.0.0.1", "10.0.0.2"});
  ASSERT_TRUE(maps);
  EXPECT_FALSE(
      maps->follow({.only = {"10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"}, .except = {}}))
      << "with the old ones they are more than fit";
  ASSERT_TRUE(maps->follow({.only = {"10.0.0.4", "10.0.0.7"}, .except = {}}));
  EXPECT_THAT(peers_.content(), UnorderedElementsAre("3: 10.0.0.4", "3: 10.0.0.7"));
  EXPECT_FALSE(maps->follow({.only = {"10.0.0.1", "10.0.0.2", "10.0.0.3"}, .except = {}}));
  ASSERT_TRUE(maps->clear());
  EXPECT_THAT(peers_.content(), IsEmpty()) << "a part of both was there";
}

}  // namespace
}  // namespace faultline::test
