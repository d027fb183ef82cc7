// SPDX-License-Identifier: Apache-2.0
#include "api/values.h"

#include <gtest/gtest.h>

#include "api/codec.h"
#include "api/histogram.h"
#include "bpf/include/fault_abi.h"

namespace faultline::api {
namespace {

template <class T>
void same(std::string_view text, std::string_view written) {
  const auto parsed = T::parse(text);
  ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
  EXPECT_EQ(parsed->format(), written);
  EXPECT_EQ(T::parse(parsed->format()).value(), *parsed);
}
template <class T>
void refused(std::initializer_list<std::string_view> texts) {
  for (const auto text : texts) EXPECT_FALSE(T::parse(text)) << text;
}

TEST(Values, Durations) {
  same<Duration>("200ms", "200ms");
  same<Duration>("1m30s", "1m30s");
  same<Duration>("90s", "1m30s");
  same<Duration>("1.5s", "1.5s");
  same<Duration>("1500us", "1.5ms");
  same<Duration>("24h", "24h");
  same<Duration>("0", "0s");
  same<Duration>("1h0.000000001s", "1h0.000000001s");
  refused<Duration>(
      {"", "5", "ms", ".s", "-1s", "25h", "24h1ns", "1s ", "1e3s", "99999999999999h"});
}

TEST(Values, Probabilities) {
  same<Probability>("5%", "5%");
  same<Probability>("0.05", "5%");
  same<Probability>("0.1%", "0.1%");
  same<Probability>("1", "100%");
  refused<Probability>({"", "%", "5", "101%", "-1%", "nan", "inf", "5 %"});
  for (int i = 0; i <= 1000; ++i) {
    const Probability p{i / 1000.0 / 3};
    EXPECT_EQ(Probability::parse(p.format()).value(), p);
  }
}

TEST(Values, NamesRatesAndSizes) {
  same<ErrnoName>("EIO", "EIO");
  same<ErrnoName>("EWOULDBLOCK", "EAGAIN");
  same<ErrnoName>("524", "524");  // ENOTSUPP of the kernel
  refused<ErrnoName>({"", "5", "eio", "EFOO", "0", "4096"});
  same<BitRate>("10mbit", "10mbit");
  same<BitRate>("10mbps", "80mbit");  // bytes per second, as tc says it
  refused<BitRate>({"", "10", "10MB", "-1mbit", "1e9tbit"});
  same<ByteSize>("64Mi", "64Mi");
  same<ByteSize>("4096", "4Ki");
  same<ByteSize>("1.5Gi", "1536Mi");
  refused<ByteSize>({"", "Mi", "1.5", "-1", "1m"});
}

TEST(Values, Cidrs) {
  same<Cidr>("10.0.0.0/8", "10.0.0.0/8");
  same<Cidr>("10.1.2.3", "10.1.2.3");
  same<Cidr>("fd00::/8", "fd00::/8");
  same<Cidr>("::ffff:10.0.0.0/104", "10.0.0.0/8");
  same<Cidr>("0.0.0.0/0", "0.0.0.0/0");
  EXPECT_EQ(Cidr::parse("10.0.0.0/8")->prefix, 104);
  refused<Cidr>({"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0", "fd00::/129", "a/8"});
}

TEST(Values, Timestamps) {
  same<Timestamp>("2026-11-23T10:15:02.123456Z", "2026-11-23T10:15:02.123456Z");
  same<Timestamp>("2026-11-23T10:15:02+02:00", "2026-11-23T08:15:02.000000Z");
  refused<Timestamp>({"", "2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T10:15:02",
                      "2026-11-23T10:15:02.Z"});
  EXPECT_EQ(to_json(PhaseMark{}).at("at"), nullptr);
}

TEST(Histogram, BucketsAreThoseOfTheKernel) {
  for (std::uint64_t ns = 0; ns < 200'000; ++ns)
    ASSERT_EQ(Histogram::bucket_of_ns(ns), fl_hist_bucket(ns)) << ns;
  for (int bit = 10; bit < 64; ++bit)
    for (const std::uint64_t near : {-1, 0, 1, 12345}) {
      const std::uint64_t ns = (1ull << bit) + near;
      ASSERT_EQ(Histogram::bucket_of_ns(ns), fl_hist_bucket(ns)) << ns;
    }
  for (std::uint32_t i = 0; i + 1 < FL_HIST_BUCKETS; ++i)
    EXPECT_DOUBLE_EQ(Histogram::bucket_high(i), Histogram::bucket_low(i + 1));
}

TEST(Histogram, AConstantIsToldExactly) {
  Histogram h;
  for (int i = 0; i < 98; ++i) h.add(0.2001);
  h.add(0.05);
  h.add(0.9);
  EXPECT_NEAR(*h.quantile(0.5), 0.2001, 0.0003);
  EXPECT_NEAR(*h.quantile(0.95), 0.2001, 0.0003);
  EXPECT_DOUBLE_EQ(*h.quantile(1), 0.9);
}

TEST(Histogram, QuantilesAreWithinThePromisedError) {
  Histogram h;
  EXPECT_FALSE(h.quantile(0.5));
  for (int i = 1; i <= 1000; ++i) h.add(i * 1e-3);
  EXPECT_NEAR(*h.quantile(0.5), 0.5, 0.5 * 0.016);
  EXPECT_NEAR(*h.quantile(0.99), 0.99, 0.99 * 0.016);
  EXPECT_EQ(*h.quantile(1), 1.0);
  Histogram twice = h;
  twice.merge(h);
  EXPECT_EQ(twice.count(), 2000u);
  InjectionStatus status{.pod = {"a", "b", "", {}}, .addedLatency = twice};
  const auto again = from_json<InjectionStatus>(to_json(status));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->addedLatency.buckets, twice.buckets);
}

TEST(Selector, AllGivenPartsMustMatch) {
  const PodRef pod{"shop", "p-0", "n1", {{"app", "x"}}};
  EXPECT_FALSE(matches({}, pod));
  EXPECT_TRUE(matches({.namespaces = {"shop"}, .labelSelectors = {{"app", "x"}}}, pod));
  EXPECT_FALSE(matches({.namespaces = {"shop"}, .labelSelectors = {{"app", "y"}}}, pod));
  EXPECT_TRUE(matches({.pods = {{"shop", {"p-0"}}}, .nodes = {"n1"}}, pod));
  EXPECT_FALSE(matches({.pods = {{"web", {"p-0"}}}}, pod));
}

TEST(Selector, Words) {
  EXPECT_EQ(parse_selector_words("shop/app=x,t=y").value(),
            (Selector{.namespaces = {"shop"}, .labelSelectors = {{"app", "x"}, {"t", "y"}}}));
  EXPECT_EQ(parse_selector_words("shop/*").value(), Selector{.namespaces = {"shop"}});
  EXPECT_TRUE(parse_selector_words("*/app=x")->namespaces.empty());
  for (const char* bad : {"", "shop", "/a=b", "*/*", "shop/", "shop/a", "shop/=b", "s/a=b,a=c"})
    EXPECT_FALSE(parse_selector_words(bad)) << bad;
}

TEST(NearestWord, FindsTyposAndNothingElse) {
  EXPECT_EQ(nearest_word("latncy", {"jitter", "latency"}), "latency");
  EXPECT_EQ(nearest_word("lantecy", {"jitter", "latency"}), "latency");
  EXPECT_EQ(nearest_word("zzz", {"jitter", "latency"}), "");
}

// Both found by tests/fuzz/values.cpp.
TEST(Timestamp, IsReadAsItIsWritten) {
  const auto fine = Timestamp::parse("2026-11-23T10:15:02.1234567899Z");
  ASSERT_TRUE(fine);
  EXPECT_EQ(fine->format(), "2026-11-23T10:15:02.123456Z");
  EXPECT_EQ(*Timestamp::parse(fine->format()), *fine);
}

TEST(Timestamp, OffsetDoesNotLeadOutOfTheYearsThatCanBeWritten) {
  EXPECT_FALSE(Timestamp::parse("1970-01-01T00:00:00+01:00"));
  EXPECT_FALSE(Timestamp::parse("2261-12-31T23:59:59-01:00"));
}

}  // namespace
}  // namespace faultline::api
