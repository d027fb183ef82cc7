// SPDX-License-Identifier: Apache-2.0
// One hostile text in every field of a run that others fill, through every writer of a report.
#include <boost/json.hpp>
#include <map>

#include "report/html_parts.h"
#include "report/report.h"
#include "tests/unit/hostile.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using testing_words::all_hostile;
using testing_words::expect_no_markup;
using testing_words::expect_tame;
using testing_words::hostile_as_sent;
using testing_words::kHostile;

// Two windows of each pod and phase: hostile_as_sent() tries each text with the whole record, and
// what holds for two windows holds for forty.
api::RunRecord with_few_windows(api::RunRecord record) {
  std::map<std::pair<std::string, api::RunPhase>, int> kept;
  for (api::NodeRecord& node : record.nodes)
    std::erase_if(node.windows, [&](const api::EffectWindow& window) {
      return ++kept[{window.pod.id(), window.phase}] > 2;
    });
  return record;
}

// A run in which every text is hostile, and what its report is then; and a report that itself is
// hostile, as one from a controller that lies.
template <class Check>
void for_every_report(Check check) {
  const api::RunRecord slow = synthetic::slow_payments(1), refused = synthetic::refused_connects(1);
  for (const api::RunRecord& hostile :
       {all_hostile(slow), hostile_as_sent(with_few_windows(refused))})
    check(build(hostile), hostile);
  check(all_hostile(build(slow)), all_hostile(slow));
  check(all_hostile(build(refused)), all_hostile(refused));
}

TEST(WordsOfOthers, AreTameOnTheTerminal) {
  for_every_report([](const api::Report& report, const api::RunRecord&) {
    expect_tame(to_terminal(report, false), "terminal");
    expect_tame(to_terminal(report, true), "terminal in colour", true);
  });
}

TEST(WordsOfOthers, AreTameAndNoMarkupInMarkdown) {
  for_every_report([](const api::Report& report, const api::RunRecord&) {
    const std::string text = to_markdown(report);
    expect_tame(text, "Markdown");
    expect_no_markup(text, "Markdown");
    // In <pre> no Markdown is read.
    EXPECT_EQ(text.substr(0, text.find("<pre")).find("[a](javascript"), text.npos);
  });
}

TEST(WordsOfOthers, AreTameAndNoMarkupInHtml) {
  for_every_report([](const api::Report& report, const api::RunRecord& record) {
    const std::string text = to_html(report, record);
    expect_tame(text, "HTML");
    expect_no_markup(text, "HTML");
    EXPECT_EQ(text.find("<!-- \""), text.npos);
  });
}

TEST(WordsOfOthers, AreTameInTheDataOfThePage) {
  for_every_report([](const api::Report& report, const api::RunRecord& record) {
    const std::string text = html_data(report, record);
    expect_tame(text, "data");
    EXPECT_EQ(text.find('<'), text.npos);
    // What a script reads from it is shown on the page, so it is tame after decoding, too.
    const boost::json::value data = boost::json::parse(text);
    for (const auto& chart : data.at("charts").as_array())
      EXPECT_TRUE(is_printable(std::string(chart.at("title").as_string())));
    EXPECT_TRUE(is_printable(std::string(data.at("report").at("run").as_string())));
  });
}

TEST(WordsOfOthers, StayWhatTheyAreInJson) {
  const api::Report report = hostile_as_sent(build(with_few_windows(synthetic::slow_payments(1))));
  ASSERT_NE(report.stateReason.find(kHostile), std::string::npos);
  const std::string text = api::to_json_text(report);
  expect_tame(text, "JSON");
  const auto again = api::from_json_text<api::Report>(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(api::to_json(*again), api::to_json(report));
}

TEST(WordsOfOthers, StayWhatTheyAreInYaml) {
  api::Experiment experiment = synthetic::slow_payments(1).experiment;
  experiment.spec.purpose = kHostile;
  const std::string text = api::to_yaml(experiment);
  expect_tame(text, "YAML");
  const auto again = api::parse_experiment(text, "again.yaml");
  ASSERT_TRUE(again) << again.error().message << "\n" << text;
  EXPECT_EQ(again->spec.purpose, kHostile);
}

TEST(WordsOfOthers, APurposeOverSeveralLinesIsReadAsOne) {
  api::RunRecord record = synthetic::slow_payments(1);
  record.experiment.spec.purpose = "Checkout stays\nfast\n";
  EXPECT_NE(to_markdown(build(record)).find("> Checkout stays fast\n"), std::string::npos);
}

}  // namespace
}  // namespace faultline::report
