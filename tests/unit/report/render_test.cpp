// SPDX-License-Identifier: Apache-2.0
// The renderings: text against golden files, HTML for what must never be in it, JSON there and
// back. FAULTLINE_UPDATE_GOLDEN=1 writes the golden files anew; FAULTLINE_REPORT_DIR=DIR leaves
// synthetic HTML reports there to look at.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "report/report.h"
#include "tests/places.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using synthetic::at;

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void expect_golden(const std::string& name, const std::string& text) {
  const auto path = test::source_dir() / "tests/unit/report/golden" / name;
  if (std::getenv("FAULTLINE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  EXPECT_EQ(text, read(path)) << "if the change is meant: FAULTLINE_UPDATE_GOLDEN=1";
}

// Written by hand, so that no platform's mathematics decides a digit.
api::Report handmade() {
  api::Report r;
  r.run = "slow-payments-20261123T101502Z";
  r.state = api::RunState::Completed;
  r.verdict = api::RunVerdict::partial;
  r.experiment = synthetic::slow_payments().experiment;
  r.nodes = {{"node-1", "6.18.5", "x86_64", "0.1.0", {"delay-line"}, 0.00012, 0.0002}};
  r.timeline = {
      {"t0", "asked", at(0), 0.0, "by person"},
      {"t2", "first injected event", at(10.2061), 10.2061, "networkLatency on shop/payments-0"}};
  r.injections = {
      {.pod = "shop/payments-0",
       .node = "node-1",
       .fault = "networkLatency",
       .mechanism = "delay-line",
       .asked = "50 ms +- 5 ms, on what it sends, port 8080",
       .askedRate = 1,
       .askedLatency = 0.05,
       .matched = 7412,
       .injected = 7412,
       .rate = 1,
       .rateCi95 = api::Interval{0.9995, 1},
       .addedLatency = api::LatencyQuantiles{0.0503, 0.0548, 0.0551},
       .firstInjectedAt = at(10.2061),
       .lastInjectedAt = at(40.2),
       .verdict = api::InjectionVerdict::confirmed},
      {.pod = "shop/payments-1",
       .node = "node-1",
       .fault = "networkLatency",
       .mechanism = "delay-line",
       .asked = "50 ms +- 5 ms, on what it sends, port 8080",
       .verdict = api::InjectionVerdict::no_traffic,
       .reason = "nothing that the pod did matched the fault's filter while it was armed"}};
  const auto stats = [](double p50, double p99) {
    return api::PhaseStats{4000, p50, p50 * 1.2, p99, p99 * 1.5, 400};
  };
  r.effects = {{"shop/payments-0",
                api::PodRole::target,
                "request.rate",
                {{"side", "server"}, {"port", "8080"}},
                "1",
                api::PhaseStats{4000, {}, {}, {}, {}, 412.0},
                api::PhaseStats{4500, {}, {}, {}, {}, 150.0},
                std::nullopt,
                -262,
                api::Interval{-270, -254}},
               {"shop/checkout-0",
                api::PodRole::observed,
                "request.latency",
                {{"side", "server"}, {"port", "80"}},
                "s",
                stats(0.0021, 0.0121),
                stats(0.0523, 0.431),
                stats(0.0021, 0.012),
                0.0502,
                api::Interval{0.0498, 0.0507}},
               {"shop/catalog-0",
                api::PodRole::control,
                "request.latency",
                {{"side", "server"}, {"port", "8090"}},
                "s",
                stats(0.0031, 0.005),
                stats(0.0031, 0.0051),
                stats(0.0031, 0.005),
                0.0,
                api::Interval{-0.0001, 0.0001}}};
  for (api::EffectReport& e : r.effects) {
    e.significant = e.role != api::PodRole::control;
    if (e.metric != "request.latency") continue;
    e.tailQuantile = 0.99;
    e.changeTail = *e.fault->p99 - *e.baseline->p99;
    e.ci95Tail = api::Interval{*e.changeTail - 0.01, *e.changeTail + 0.01};
    e.significantTail = e.significant;
  }
  r.effects[1].changeAgainstControls = 0.0502;
  r.effects[1].ci95AgainstControls = api::Interval{0.0497, 0.0508};
  r.expectations = {{"request.latency p99 of app=checkout below 400 ms", false, "431 ms"}};
  r.recovery = {at(40.6), 0.4,
                "from the last injected event until every effect was back in its baseline band"};
  r.residue = std::vector<std::string>{};
  r.gaps = {
      {"node-1", "shop/catalog-0", "cpu.usage", at(22), at(23), "cpu.stat could not be read"}};
  return r;
}

TEST(Terminal, ReadsLikeTheGoldenFile) {
  expect_golden("terminal.txt", to_terminal(handmade(), false));
}

TEST(Terminal, ColorAddsNothingButColor) {
  std::string text = to_terminal(handmade(), true), plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033')
      i = text.find('m', i);
    else
      plain += text[i];
  }
  EXPECT_EQ(plain, to_terminal(handmade(), false));
  EXPECT_NE(text, plain);
}

TEST(Terminal, ShowsTheMostTellingEffectsAndCountsTheRest) {
  const std::string text = to_terminal(build(synthetic::slow_payments()), false);
  EXPECT_LT(text.find("observed"), text.find("target  "));
  EXPECT_LT(text.find("target  "), text.find("control  "));
  EXPECT_NE(text.find("14 more in the report"), std::string::npos) << text;
}

TEST(Markdown, ReadsLikeTheGoldenFile) { expect_golden("report.md", to_markdown(handmade())); }

TEST(Markdown, ANameCannotBreakTheTable) {
  api::Report r = handmade();
  r.effects[0].pod = "shop/a|b\n<script>";
  const std::string text = to_markdown(r);
  EXPECT_EQ(text.find("a|b"), std::string::npos);
  EXPECT_EQ(text.find("<script>"), std::string::npos);
}

// Equal but for the last bit of a number: Boost.JSON 1.81 parses decimal fractions to within one.
bool same(const boost::json::value& a, const boost::json::value& b) {
  if (a.is_object() && b.is_object()) {
    if (a.as_object().size() != b.as_object().size()) return false;
    for (const auto& [key, value] : a.as_object()) {
      const auto* other = b.as_object().if_contains(key);
      if (other == nullptr || !same(value, *other)) return false;
    }
    return true;
  }
  if (a.is_array() && b.is_array()) return std::ranges::equal(a.as_array(), b.as_array(), same);
  if (a.is_double() && b.is_double())
    return std::abs(a.as_double() - b.as_double()) <= 1e-15 * std::abs(a.as_double());
  return a == b;
}

TEST(Json, AReportComesBackAsItWas) {
  for (const api::Report& r :
       {handmade(), build(synthetic::slow_payments()), build(synthetic::refused_connects())}) {
    const auto back = api::from_json_text<api::Report>(api::to_json_text(r));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(same(api::to_json(*back), api::to_json(r))) << r.run;
    EXPECT_EQ(to_terminal(*back, false), to_terminal(r, false));
  }
}

TEST(Json, ResidueIsNoneAListOrNull) {
  api::Report r = handmade();
  const auto residue = [&] { return api::to_json(r).at("residue"); };
  EXPECT_EQ(residue(), boost::json::value("none"));
  r.residue->push_back("node-1: TAP device fl-1");
  EXPECT_TRUE(residue().is_array());
  r.residue.reset();
  EXPECT_TRUE(residue().is_null());
}

class Html : public testing::Test {
 protected:
  static std::string page(const api::RunRecord& record) { return to_html(build(record), record); }
  static std::size_t count(const std::string& text, std::string_view part) {
    std::size_t n = 0;
    for (std::size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
    return n;
  }
  static std::string data(const std::string& html) {
    const std::string open = "<script type=\"application/json\" id=\"data\">";
    const std::size_t begin = html.find(open) + open.size();
    return html.substr(begin, html.find("</script>", begin) - begin);
  }
};

TEST_F(Html, LoadsNothingFromAnywhere) {
  const std::string html = page(synthetic::slow_payments());
  EXPECT_EQ(html.find(" src="), std::string::npos);
  EXPECT_EQ(count(html, "<link"), 1u);  // the empty icon
  EXPECT_EQ(html.find("url("), std::string::npos);
  EXPECT_EQ(html.find("@import"), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  if (const char* dir = std::getenv("FAULTLINE_REPORT_DIR")) {
    std::ofstream(std::filesystem::path(dir) / "slow-payments.html") << html;
    std::ofstream(std::filesystem::path(dir) / "refused-connects.html")
        << page(synthetic::refused_connects());
  }
}

TEST_F(Html, DataIsJsonAndHoldsTheReport) {
  const api::RunRecord record = synthetic::slow_payments();
  const auto value = boost::json::parse(data(page(record)));
  EXPECT_EQ(value.at("report").at("run"), boost::json::value(record.run));
  EXPECT_EQ(value.at("phases").as_array().size(), 3u);
  EXPECT_GE(value.at("charts").as_array().size(), 5u);
  EXPECT_GE(value.at("shapes").as_array().size(), 3u);
}

TEST_F(Html, ANameCannotEndAScriptOrATag) {
  api::RunRecord record = synthetic::slow_payments();
  const std::string evil = "</script><script>alert(1)</script><!-- \" onload='x";
  record.experiment.spec.purpose = evil;
  record.experiment.metadata.name = evil;
  record.stateReason = evil;
  for (api::RunPod& p : record.pods) p.pod.name += evil;
  for (api::EffectWindow& w : record.nodes[0].windows) w.pod.name += evil;
  for (api::InjectionStatus& s : record.nodes[0].injections) s.pod.name += evil;
  record.nodes[0].gaps[0].reason = evil;
  const std::string plain = page(synthetic::slow_payments()), html = page(record);
  EXPECT_EQ(count(html, "<script"), count(plain, "<script"));
  EXPECT_EQ(count(html, "</script"), count(plain, "</script"));
  EXPECT_EQ(count(html, "<!--"), count(plain, "<!--"));
  EXPECT_EQ(html.find("alert(1)</"), std::string::npos);
  EXPECT_EQ(boost::json::parse(data(html)).at("report").at("experiment").at("spec").at("purpose"),
            boost::json::value(evil));
}

TEST_F(Html, EveryTableHasACaptionAndEveryRegionAName) {
  const std::string html = page(synthetic::slow_payments());
  EXPECT_GE(count(html, "<table>"), 5u);
  EXPECT_EQ(count(html, "<table>"), count(html, "<caption>"));
  EXPECT_EQ(count(html, "role=\"region\""), count(html, "role=\"region\" aria-label="));
  EXPECT_EQ(count(html, "<section"), count(html, "<section aria-labelledby="));
}

}  // namespace
}  // namespace faultline::report
