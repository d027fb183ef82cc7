// SPDX-License-Identifier: Apache-2.0
// Lists of runs. Whoever lists asks rights by columns: heads and measurements are not read for it.
#include <algorithm>
#include <boost/describe/enum_from_string.hpp>
#include <boost/json/parse.hpp>

#include "controller/store/guard.h"
#include "controller/store/store.h"

namespace faultline::controller {
namespace {

// What refs_of() reads, in its order.
constexpr const char* kRef =
    "SELECT r.run, r.name, r.asked_at, "
    "coalesce((SELECT namespace FROM run_namespaces n WHERE n.run = r.run AND n.own), ''), "
    "(SELECT json_group_array(namespace) FROM run_namespaces n WHERE n.run = r.run AND namespace "
    "<> '') FROM runs r ";

RunRef ref_of(const SQLite::Statement& row) {
  RunRef ref{.run = row.getColumn(0).getString(),
             .name = row.getColumn(1).getString(),
             .ns = row.getColumn(3).getString(),
             .asked_at = from_micros(row.getColumn(2).getInt64())};
  boost::system::error_code wrong;
  const auto namespaces = boost::json::parse(row.getColumn(4).getString(), wrong);
  if (!wrong && namespaces.is_array())
    for (const auto& one : namespaces.get_array())
      if (one.is_string()) ref.namespaces.emplace(one.get_string());
  return ref;
}

// As the codec writes it: not-notified.
std::optional<api::DetectionVerdict> verdict_of(std::string text) {
  std::ranges::replace(text, '-', '_');
  api::DetectionVerdict verdict{};
  if (!boost::describe::enum_from_string(text.c_str(), verdict)) return std::nullopt;
  return verdict;
}

}  // namespace

Result<RunRef> Store::ref(const std::string& run) {
  return guarded("looking for a run", [&]() -> Result<RunRef> {
    SQLite::Statement row(*db_, std::string(kRef) + "WHERE r.run = ?");
    row.bind(1, run);
    if (row.executeStep()) return ref_of(row);
    return fail(Errc::kNotFound, "there is no run " + run);
  });
}

Result<std::vector<RunRef>> Store::refs(const RefQuery& query) {
  return guarded("listing runs", [&]() -> Result<std::vector<RunRef>> {
    std::string where;
    const auto also = [&](const char* condition) {
      where += (where.empty() ? "WHERE " : " AND ") + std::string(condition);
    };
    if (!query.name.empty()) also("r.name = ?1");
    if (query.ns)
      also(
          "EXISTS (SELECT 1 FROM run_namespaces n WHERE n.run = r.run AND n.own AND n.namespace = "
          "?2)");
    if (query.before) also("(r.asked_at, r.run) < (?3, ?4)");
    if (query.fired)
      also(
          "EXISTS (SELECT 1 FROM detections d WHERE d.run = r.run AND d.fired_at IS NOT NULL AND "
          "d.verdict <> 'before-fault')");
    SQLite::Statement rows(*db_, kRef + where + " ORDER BY r.asked_at DESC, r.run DESC LIMIT ?5");
    if (!query.name.empty()) rows.bind(1, query.name);
    if (query.ns) rows.bind(2, *query.ns);
    if (query.before) rows.bind(3, micros(query.before->first));
    if (query.before) rows.bind(4, query.before->second);
    rows.bind(5, query.limit);
    std::vector<RunRef> out;
    while (rows.executeStep()) out.push_back(ref_of(rows));
    return out;
  });
}

Result<std::vector<FiredAlert>> Store::fired(const std::vector<std::string>& runs) {
  return guarded("listing alerts", [&]() -> Result<std::vector<FiredAlert>> {
    std::vector<FiredAlert> out;
    SQLite::Statement rows(*db_,
                           "SELECT source, alert, verdict, fired_at, seconds FROM detections WHERE "
                           "run = ? AND fired_at IS NOT NULL AND verdict <> 'before-fault' ORDER "
                           "BY fired_at DESC");
    for (const std::string& run : runs) {
      rows.reset();
      rows.bind(1, run);
      while (rows.executeStep()) {
        const auto at = api::Timestamp::parse(rows.getColumn(3).getString());
        const auto verdict = verdict_of(rows.getColumn(2).getString());
        if (!at || !verdict) continue;
        FiredAlert& one = out.emplace_back(FiredAlert{.run = run,
                                                      .source = rows.getColumn(0).getString(),
                                                      .alert = rows.getColumn(1).getString(),
                                                      .verdict = *verdict,
                                                      .at = *at,
                                                      .seconds = std::nullopt});
        if (!rows.getColumn(4).isNull()) one.seconds = rows.getColumn(4).getDouble();
      }
    }
    return out;
  });
}

Result<std::vector<RunTime>> Store::times(UtcTime since, std::int64_t limit) {
  return guarded("listing the times of runs", [&]() -> Result<std::vector<RunTime>> {
    SQLite::Statement rows(
        *db_,
        "SELECT asked_at, CASE WHEN state IN ('Completed', 'Aborted', 'Failed') AND "
        "json_valid(head) THEN json_extract(head, '$.history[#-1].at') END FROM runs WHERE "
        "asked_at >= ? ORDER BY asked_at DESC LIMIT ?");
    rows.bind(1, micros(since));
    rows.bind(2, limit);
    std::vector<RunTime> out;
    while (rows.executeStep()) {
      RunTime& one = out.emplace_back(RunTime{.from = from_micros(rows.getColumn(0).getInt64())});
      if (const auto end = api::Timestamp::parse(rows.getColumn(1).getString()); end && end->set())
        one.to = end->value;
    }
    return out;
  });
}

Result<std::vector<api::RunSummary>> Store::summaries(const std::vector<std::string>& runs,
                                                      std::size_t bytes) {
  return guarded("listing runs", [&]() -> Result<std::vector<api::RunSummary>> {
    std::vector<api::RunSummary> out;
    SQLite::Statement row(
        *db_,
        "SELECT run, name, state, reason, asked_at, coalesce((SELECT namespace FROM run_namespaces "
        "n WHERE n.run = r.run AND n.own), '') FROM runs r WHERE run = ?");
    SQLite::Statement injections(
        *db_, "SELECT body FROM injections WHERE run = ? ORDER BY pod, fault_index");
    std::size_t size = 0;
    for (const std::string& run : runs) {
      if (size >= bytes) break;
      row.reset();
      row.bind(1, run);
      if (!row.executeStep()) continue;  // deleted meanwhile
      api::RunSummary summary{
          .run = row.getColumn(0).getString(),
          .name = row.getColumn(1).getString(),
          .namespace_ = row.getColumn(5).getString(),
          .state = state_of(row.getColumn(2).getString()).value_or(api::RunState::Failed),
          .stateReason = row.getColumn(3).getString(),
          .startedAt = {from_micros(row.getColumn(4).getInt64())}};
      injections.reset();
      injections.bind(1, summary.run);
      while (injections.executeStep()) {
        const std::string body = injections.getColumn(0).getString();
        size += body.size();
        if (auto status = api::from_json_text<api::InjectionStatus>(body))
          summary.injections.push_back(std::move(*status));
      }
      out.push_back(std::move(summary));
    }
    return out;
  });
}

Result<api::RunSummary> Store::summary(const std::string& run) {
  auto found = summaries({run}, 1);
  if (!found) return fail(std::move(found.error()));
  if (found->empty()) return fail(Errc::kNotFound, "there is no run " + run);
  return std::move(found->front());
}

}  // namespace faultline::controller
