// SPDX-License-Identifier: Apache-2.0
#include "api/gameday.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <map>
#include <optional>

#include "api/codec.h"
#include "api/detail/check.h"
#include "api/detail/check_gameday.h"
#include "api/detail/decode.h"
#include "api/detail/rules_gameday.h"
#include "api/detail/yaml.h"
#include "base/printable.h"

namespace faultline::api {
namespace detail {
extern template void decode_struct(Decoder&, const boost::json::value&, GameDay&);
}  // namespace detail
namespace {

namespace json = boost::json;
using detail::Problems;

// Calls `visit` for each step of a list and those in them, groups before what is in them.
template <class Steps, class Visit>
void walk(Steps& steps, const std::string& path, const Visit& visit) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    std::string at = path;
    detail::append_index(at, i);
    visit(steps[i], at);
    walk(steps[i].serial, at + ".serial", visit);
    walk(steps[i].parallel, at + ".parallel", visit);
  }
}

// The same in JSON that was not decoded yet. The reader has bounded how deep it is.
void walk_json(json::value* steps, const std::string& path,
               const std::function<void(json::object&, const std::string& path)>& visit) {
  if (steps == nullptr || !steps->is_array()) return;
  for (std::size_t i = 0; i < steps->get_array().size(); ++i) {
    json::value& step = steps->get_array()[i];
    if (!step.is_object()) continue;
    std::string at = path;
    detail::append_index(at, i);
    visit(step.get_object(), at);
    walk_json(step.get_object().if_contains("serial"), at + ".serial", visit);
    walk_json(step.get_object().if_contains("parallel"), at + ".parallel", visit);
  }
}

json::value* steps_of(json::value& document) {
  boost::system::error_code ec;
  return document.find_pointer("/spec/steps", ec);
}

// Longer than any day may be: repeats in repeats would else be more than a number holds.
constexpr std::chrono::nanoseconds kFar = std::chrono::hours(1000);

std::chrono::nanoseconds length_of(const GameDay& day, const Step& step);

std::chrono::nanoseconds length_of(const GameDay& day, const std::vector<Step>& steps) {
  std::chrono::nanoseconds sum{0};
  for (const Step& step : steps) sum = std::min(kFar, sum + length_of(day, step));
  return sum;
}

std::chrono::nanoseconds length_of(const GameDay& day, const Step& step) {
  std::chrono::nanoseconds one = step.pause.value + length_of(day, step.serial);
  for (const Step& inner : step.parallel) one = std::max(one, length_of(day, inner));
  if (step.experiment && step.experiment->spec) {
    const Phases& phases = step.experiment->spec->phases;
    one += phases.baseline.value + phases.fault.value + phases.recovery.value;
  }
  if (step.sweep) {
    std::size_t cells = 0;
    for (const SweptFault& row : step.sweep->faults) cells += row.severities.size();
    one += least_length(step_sweep(day, step), cells);
  }
  return std::min(kFar, std::min(kFar, one) * step.repeat);
}

// The item number at the begin of a line, without the number; nothing: the line begins none.
std::optional<std::string_view> numbered(std::string_view line) {
  std::size_t digits = 0;
  while (digits < line.size() && line[digits] >= '0' && line[digits] <= '9') ++digits;
  if (digits == 0 || digits > 4 || digits + 1 >= line.size()) return std::nullopt;
  if (line[digits] != '.' && line[digits] != ')') return std::nullopt;
  if (line[digits + 1] != ' ' && line[digits + 1] != '\t') return std::nullopt;
  line.remove_prefix(digits + 1);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  if (line.empty()) return std::nullopt;
  return line;
}

// Adds `words` to an item, as far as there is room; an item is cut between characters.
void append_words(std::string& item, std::string_view words) {
  if (item.size() >= kMostRunbookItem) return;
  if (!item.empty()) item += ' ';
  std::size_t size =
      std::min(words.size(), kMostRunbookItem - std::min(kMostRunbookItem, item.size()));
  if (size < words.size())
    while (size > 0 && (static_cast<unsigned char>(words[size]) & 0xc0) == 0x80) --size;
  item.append(words.substr(0, size));
  if (size < words.size()) item.append(kMostRunbookItem - item.size(), '.');
}

// Each line of what is wrong with another document, at the place that names it.
void add_lines(Problems& problems, const std::string& at, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    problems.add(at, std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// Why a file of a step is not read; empty: it is. What a document names is sent to the controller,
// and a document may be somebody else's.
std::string leads_away(std::string_view path) {
  std::string_view rest = path;
  while (true) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    if (path.starts_with('/') || rest.substr(0, end) == "..")
      return "leads out of the folder of the game day: expected a path that is relative to this "
             "file, without ..";
    if (end == rest.size()) return {};
    rest.remove_prefix(end + 1);
  }
}

}  // namespace

bool says_gameday(std::string_view text) {
  detail::SourceMap map;
  Problems problems;
  json::value value;
  if (!detail::read_yaml(text, kGameDayBudget, value, map, problems) || !value.is_object())
    return false;
  const auto* kind = value.get_object().if_contains("kind");
  return kind != nullptr && kind->is_string() &&
         std::string_view(kind->get_string()) == kGameDayKind;
}

Result<GameDay> parse_gameday(std::string_view text, std::string_view file) {
  detail::SourceMap map;
  Problems problems(file, &map);
  json::value value;
  GameDay day;
  if (detail::read_yaml(text, kGameDayBudget, value, map, problems))
    detail::read_gameday(value, problems, day);
  if (!problems.empty()) return fail(problems.error());
  return day;
}

void detail::read_gameday(json::value& value, Problems& problems, GameDay& day) {
  std::map<std::string, std::vector<bool>> written;
  walk_json(steps_of(value), "spec.steps", [&](json::object& step, const std::string& at) {
    if (auto* sweep = step.if_contains("sweep"))
      written[at + ".sweep"] = fill_place_holders(*sweep);
  });
  Decoder decoder(problems);
  decode(decoder, value, day);
  check_gameday(day, written, problems);
}

Result<std::string> with_files(
    std::string_view text, std::string_view file,
    const std::function<Result<std::string>(const std::string& path)>& read) {
  detail::SourceMap map;
  Problems problems(file, &map);
  json::value document;
  if (!detail::read_yaml(text, kGameDayBudget, document, map, problems))
    return fail(problems.error());
  std::string space;
  if (boost::system::error_code ec;
      const auto* given = document.find_pointer("/metadata/namespace", ec))
    if (given->is_string()) space = given->get_string();
  // What the file says that `holder` names; nothing: it names none, or it cannot be read.
  const auto content_of = [&](const json::value* holder, const std::string& at,
                              std::string& path) -> std::optional<std::string> {
    if (holder == nullptr || !holder->is_object()) return std::nullopt;
    const auto* named = holder->get_object().if_contains("file");
    if (named == nullptr || !named->is_string() || named->get_string().empty()) return std::nullopt;
    path = named->get_string();
    if (std::string why = leads_away(path); !why.empty()) {
      problems.add(at + ".file", std::move(why));
      return std::nullopt;
    }
    auto content = read(path);
    if (!content) problems.add(at + ".file", content.error().message);
    return content ? std::optional(std::move(*content)) : std::nullopt;
  };
  std::size_t length = text.size();  // with the runbooks so far
  walk_json(steps_of(document), "spec.steps", [&](json::object& step, const std::string& at) {
    std::string path;
    auto* experiment = step.if_contains("experiment");
    if (const auto content = content_of(experiment, at + ".experiment", path)) {
      const auto parsed = parse_experiment(*content, path);
      const std::string& theirs = parsed ? parsed->metadata.namespace_ : space;
      if (!parsed)
        add_lines(problems, at + ".experiment.file", parsed.error().message);
      else if (!theirs.empty() && theirs != space)
        problems.add(at + ".experiment.file", path + " is of the namespace " + theirs +
                                                  ", the game day of " +
                                                  (space.empty() ? "none" : space));
      if (parsed) {
        experiment->get_object().erase("file");
        experiment->get_object()["spec"] = to_json(*parsed).as_object().at("spec");
      }
    }
    auto* task = step.if_contains("task");
    auto* runbook =
        task != nullptr && task->is_object() ? task->get_object().if_contains("runbook") : nullptr;
    if (runbook == nullptr || !runbook->is_object() || runbook->get_object().contains("text"))
      return;
    auto content = content_of(runbook, at + ".task.runbook", path);
    if (!content) return;
    // What is wrong with the file is told of the file: the whole has no lines of it.
    if (!is_utf8(*content)) {
      problems.add(at + ".task.runbook.file", path + ": is no text in UTF-8");
      return;
    }
    const json::value written = json::string(json::string_view(*content));
    length += json::serialize(written).size();
    if (length > kGameDayBudget.bytes) {
      problems.add(at + ".task.runbook.file",
                   path + ": is too long: a game day with its files has at most " +
                       std::to_string(kGameDayBudget.bytes >> 10) + " KiB");
      return;
    }
    runbook->get_object()["text"] = written;
  });
  if (!problems.empty()) return fail(problems.error());
  return json::serialize(document);
}

std::vector<std::string> missing_files(const GameDay& day) {
  std::vector<std::string> missing;
  for_each_step(day, [&](const Step& step, const std::string&) {
    if (step.experiment && !step.experiment->spec && step.experiment->secret.empty())
      missing.push_back(step.experiment->file);
    if (step.task && step.task->runbook && !step.task->runbook->file.empty() &&
        step.task->runbook->text.empty())
      missing.push_back(step.task->runbook->file);
  });
  return missing;
}

void for_each_step(const GameDay& day,
                   const std::function<void(const Step&, const std::string& path)>& visit) {
  walk(day.spec.steps, "spec.steps", visit);
}
void for_each_step(GameDay& day, const std::function<void(Step&, const std::string& path)>& visit) {
  walk(day.spec.steps, "spec.steps", visit);
}

Experiment step_experiment(const GameDay& day, const Step& step, std::int64_t times) {
  Experiment experiment{
      .apiVersion = day.apiVersion,
      .kind = "Experiment",
      .metadata = day.metadata,
      .spec = step.experiment && step.experiment->spec ? *step.experiment->spec : ExperimentSpec{}};
  experiment.metadata.name = day.metadata.name + "-" + step.name;
  experiment.metadata.labels[std::string(kDayStepLabel)] = step.name;
  // A step that is done again hits the same pods with the same dice only if it was asked to.
  if (experiment.spec.seed != 0) experiment.spec.seed += static_cast<std::uint64_t>(times);
  return experiment;
}

Sweep step_sweep(const GameDay& day, const Step& step) {
  Sweep sweep{.apiVersion = day.apiVersion,
              .kind = "Sweep",
              .metadata = day.metadata,
              .spec = step.sweep ? *step.sweep : SweepSpec{}};
  sweep.metadata.name = day.metadata.name + "-" + step.name;
  sweep.metadata.labels[std::string(kDayStepLabel)] = step.name;
  return sweep;
}

std::chrono::nanoseconds least_length(const GameDay& day) { return length_of(day, day.spec.steps); }

std::string_view step_kind(const Step& step) {
  if (step.experiment) return "experiment";
  if (step.sweep) return "sweep";
  if (step.task) return "task";
  if (step.waitFor) return "waitFor";
  if (!step.note.empty()) return "note";
  if (!step.serial.empty()) return "serial";
  if (!step.parallel.empty()) return "parallel";
  return "pause";
}

std::vector<std::string> runbook_steps(std::string_view markdown) {
  std::vector<std::string> steps;
  bool in_item = false, fenced = false;
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const std::string_view words = line.substr(indent);
    // What stands in a block of code is no item, and belongs to the one before it.
    const bool fence = words.starts_with("```") || words.starts_with("~~~");
    if (fence) fenced = !fenced;
    const auto item = !fenced && !fence && indent <= 3 ? numbered(words) : std::nullopt;
    if (item) {
      if (steps.size() == kMostRunbookSteps) break;
      append_words(steps.emplace_back(), *item);
      in_item = true;
    } else if (!fenced && !fence && (words.empty() || words.starts_with('#'))) {
      in_item = false;
    } else if (in_item && !fence && !words.empty()) {
      append_words(steps.back(), words);
    }
  }
  return steps;
}

}  // namespace faultline::api
