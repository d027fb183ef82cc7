// SPDX-License-Identifier: Apache-2.0
#include "demo/day.h"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <stdexcept>
#include <utility>

#include "api/codec.h"
#include "demo/program.h"
#include "demo/run.h"
#include "demo/words.h"
#include "http/client.h"
#include "testbed/patience.h"

namespace faultline::demo {
namespace {

namespace json = boost::json;

api::GameDay document_of(const std::string& example) {
  const std::string file = example + "/day.yaml";
  const auto text = api::with_files(read_file(file), file, [&](const std::string& path) {
    return Result<std::string>(read_file(example + "/" + path));
  });
  if (!text) throw std::runtime_error(text.error().message);
  auto day = api::parse_gameday(*text, file);
  if (!day) throw std::runtime_error(day.error().message);
  return std::move(*day);
}

// An emulated CPU (scripts/vm) takes some minutes for what a real one loads in a second, and is
// away from the agent for longer than the usual lease.
std::vector<std::string> controller_options(const Monitoring& monitoring) {
  std::vector<std::string> options{"--prometheus", monitoring.prometheus(), "--alertmanager",
                                   monitoring.alertmanager()};
  if (testbed::on_emulated_cpu())
    for (const char* word : {"--node-answer", "10m", "--lease", "30s"}) options.emplace_back(word);
  return options;
}

// The file of the day. On an emulated CPU a copy in `folder`, whose deadlines have that time, too.
std::string file_of(const std::string& example, const std::string& folder) {
  if (!testbed::on_emulated_cpu()) return example + "/day.yaml";
  std::filesystem::copy(example, folder);
  std::string text = read_file(folder + "/day.yaml");
  text = std::regex_replace(text, std::regex("deadline: ([0-9]+)s"), "deadline: $010s");
  std::ofstream(folder + "/day.yaml") << text;
  note("This CPU is emulated: each deadline of the day is ten times as long.");
  return folder + "/day.yaml";
}

std::string state_folder(const Shop& shop) {
  const std::string folder = shop.folder() + "/cluster";
  std::filesystem::create_directory(folder);
  return folder;
}

}  // namespace

DayGround::DayGround(const std::string& example, const std::string& programs)
    : example_(example),
      programs_(programs),
      document_(document_of(example)),
      shop_(Shop::Kind::kWorking),
      monitoring_(shop_, example + "/rules.yml"),
      cluster_(programs, state_folder(shop_), shop_.pods_file(), "payments-0",
               controller_options(monitoring_)) {
  // A person begins a day when all is well.
  const auto well = [&] {
    return monitoring_.holds(
        "count_over_time(probe_success%5B10s%5D)%20%3E%3D%208%20and%20"
        "min_over_time(probe_success%5B10s%5D)%20%3D%3D%201");
  };
  for (const auto limit = Steady::now() + testbed::patience(std::chrono::seconds(60)); !well();
       pause(std::chrono::milliseconds(200)))
    if (Steady::now() > limit) throw std::runtime_error("checkout does not work for 10 s in a row");
}

testbed::Child DayGround::command(std::vector<std::string> words, testbed::Output output) const {
  words.insert(words.begin(), programs_ + "/faultline");
  for (const std::string& word : {std::string("--controller"), cluster_.url(),
                                  std::string("--token-file"), cluster_.token_file()})
    words.push_back(word);
  return testbed::launch(words, std::move(output));
}

testbed::Child DayGround::begin(const std::string& report, testbed::Output output) const {
  std::filesystem::remove_all(report);
  const std::vector<std::string> words{
      "gameday",      "run",      file_of(example_, shop_.folder() + "/day"),
      "--unattended", "--yes",    "--as",
      kFacilitator,   "--report", report};
  std::string line = "faultline";
  for (const std::string& word : words) line += " " + word;
  typed(line + " --controller " + cluster_.url());
  return command(words, std::move(output));
}

std::optional<std::string> DayGround::ask(const std::string& method, const std::string& target,
                                          const std::string& body) const {
  std::string token = read_file(cluster_.token_file());
  while (token.ends_with('\n')) token.pop_back();
  http::ClientOptions options{.base_url = cluster_.url(), .bearer_token = token};
  auto answer =
      http::request_blocking(options, method, target, body, std::chrono::milliseconds(5'000));
  if (!answer || answer->status >= 300) return std::nullopt;
  return std::move(answer->body);
}

std::optional<api::GameDayView> DayGround::view() const {
  const auto text =
      ask("GET", "/api/v1/gamedays/" + document_.metadata.name + "?as=" + kFacilitator);
  if (!text) return std::nullopt;
  auto view = api::from_json_text<api::GameDayView>(*text);
  if (!view) return std::nullopt;
  return std::move(*view);
}

bool DayGround::has_begun(const std::string& step) const {
  const auto now = view();
  return now && std::ranges::any_of(now->steps, [&](const api::StepView& one) {
           return one.name == step && one.begunAt.set();
         });
}

DayLeft what_is_left(const DayGround& ground, int status, const std::string& folder) {
  DayLeft left{.status = status};
  const std::string text = read_file(folder + "/report.json");
  auto report = api::parse_gameday_report(text);
  if (!report)
    throw std::runtime_error("faultline gameday run ended with " + std::to_string(status) +
                             " and left no report that can be read: " + report.error().message);
  left.report = std::move(*report);
  const auto view = ground.view();
  const auto runs = ground.ask("GET", "/api/v1/experiments?limit=100");
  if (!view || !runs) throw std::runtime_error("the controller does not tell what it did");
  left.entries = view->entries;
  json::object reports;
  const json::value listed = json::parse(*runs);
  for (const auto& run : listed.as_array()) {
    const std::string id = json::value_to<std::string>(run.at("run"));
    const auto one = ground.ask("GET", "/api/v1/reports/" + id + "?format=json");
    auto read = one ? api::from_json_text<api::Report>(*one)
                    : Result<api::Report>(fail(Errc::kNotFound, "it is not told"));
    if (!read) throw std::runtime_error("no report of " + id + ": " + read.error().message);
    reports.emplace(id, json::parse(*one));
    left.runs.emplace(id, std::move(*read));
  }
  api::GameDayRecord record{.day = view->day, .document = ground.document()};
  record.entries = left.entries;
  std::ofstream(folder + "/raw.json")
      << json::serialize(json::object{{"record", api::to_json(record)},
                                      {"runs", std::move(reports)},
                                      {"earlier", json::array()},
                                      {"report", json::parse(text)}});
  return left;
}

}  // namespace faultline::demo
