// SPDX-License-Identifier: Apache-2.0
// What agents and documents say is tame where the controller hands it on: in the status of an
// Experiment, the audit log, the metrics and its answers.
#include "controller/audit.h"
#include "controller/kubernetes/status.h"
#include "controller/routes/metrics.h"
#include "http/problem.h"
#include "http/server.h"
#include "report/report.h"
#include "tests/unit/hostile.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::controller {
namespace {

using testing_words::all_hostile;
using testing_words::expect_tame;
using testing_words::kHostile;
using testing_words::kHostileBytes;

void expect_all_printable(api::ExperimentStatus status, const char* what) {
  int texts = 0;
  api::for_each_text(status, [&](std::string& text) {
    ++texts;
    EXPECT_TRUE(is_printable(text)) << what << ": " << printable(text);
  });
  EXPECT_GT(texts, 5);
}

TEST(WordsOfOthers, AreTameInTheStatusOfAnExperiment) {
  const api::RunRecord head = all_hostile(report::synthetic::slow_payments(1));
  const api::Report report = all_hostile(report::build(head));
  expect_all_printable(run_status(head, nullptr, {}, 1, {}), "under way");
  const api::ExperimentStatus over = run_status(head, &report, {}, 1, {});
  expect_all_printable(over, "over");
  expect_all_printable(lost_status(all_hostile(over), 1, {}), "lost");
  expect_all_printable(refused_status({Errc::kInvalid, kHostileBytes, 0}, {}, 1, {}), "refused");
}

TEST(WordsOfOthers, AreTameInTheAuditLog) {
  const AuditEntry entry{.via = "http",
                         .verb = kHostile,
                         .user = kHostileBytes,
                         .groups = {kHostile},
                         .from = kHostile,
                         .ns = kHostile,
                         .experiment = kHostile,
                         .run = kHostile,
                         .requested_by = kHostile,
                         .namespaces = {kHostile},
                         .reason = kHostile,
                         .state = kHostile,
                         .ending = kHostile};
  const std::string line = audit_line(entry, kHostile);
  expect_tame(line, "audit");
  EXPECT_TRUE(is_printable(line));
  EXPECT_NO_THROW(boost::json::parse(line));
}

TEST(WordsOfOthers, AreTameInTheMetrics) {
  Metrics metrics;
  metrics.fault({.fault = kHostile, .matched = 1, .injected = 1});
  expect_tame(metrics.text({}, 0, true, true), "metrics");
}

TEST(WordsOfOthers, AreTameInAnswers) {
  const http::Response answer = http::problem(404, "there is no run " + kHostileBytes);
  expect_tame(answer.body, "problem");
  EXPECT_TRUE(printable_lines(boost::json::parse(answer.body).at("detail").as_string()) ==
              boost::json::parse(answer.body).at("detail").as_string());
}

}  // namespace
}  // namespace faultline::controller
