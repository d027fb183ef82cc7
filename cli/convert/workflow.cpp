// SPDX-License-Identifier: Apache-2.0
// A Workflow of Chaos Mesh as a game day: its templates become steps.
#include <algorithm>
#include <map>
#include <set>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/convert/kinds.h"
#include "cli/convert/mapping.h"

namespace faultline::cli {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kLongestStep = 40;
// Copies of templates that lead to each other could be endlessly many.
constexpr std::size_t kMostMade = 2 * api::kMostDaySteps;

std::size_t count(const api::Step& step) {
  std::size_t sum = 1;
  for (const auto* steps : {&step.serial, &step.parallel})
    for (const api::Step& inner : *steps) sum += count(inner);
  return sum;
}

// What a step takes beyond what the Workflow says: baseline and recovery of its experiments.
nanoseconds measuring(const api::Step& step) {
  nanoseconds sum{0};
  if (step.experiment && step.experiment->spec) {
    const api::Phases& phases = step.experiment->spec->phases;
    sum += phases.baseline.value + phases.recovery.value;
  }
  for (const api::Step& inner : step.serial) sum += measuring(inner);
  for (const api::Step& inner : step.parallel) sum = std::max(sum, measuring(inner));
  return sum;
}

class Flow {
 public:
  Flow(Source& source, const Node& spec, std::string space)
      : source_(source), spec_(spec), space_(std::move(space)) {
    for (const Node& item : spec["templates"].items()) {
      const Node name = item["name"];
      const auto word = name.text();
      if (!word)
        item.left_out("a template without a name is not reached; left out");
      else if (!templates_.emplace(*word, item).second)
        item.left_out("there is a template of this name already; left out");
    }
  }

  // The steps of the day; empty: why was said.
  std::vector<api::Step> steps() {
    const Node entry = spec_["entry"];
    std::optional<api::Step> first = reach(entry);
    for (const auto& [name, node] : templates_)
      if (!made_.contains(name)) node.left_out("no step leads to it; left out");
    if (!first) return {};
    if (first->serial.empty() || first->deadline.value.count() > 0) return {std::move(*first)};
    return std::move(first->serial);
  }

 private:
  // The step of the template that `ref` names; of one that was used before a copy.
  std::optional<api::Step> reach(const Node& ref) {
    const auto name = ref.text();
    if (!name) {
      if (!ref.given()) spec_.missing("entry", "nothing says where it begins; left out");
      return std::nullopt;
    }
    const auto found = templates_.find(*name);
    if (found == templates_.end()) {
      std::vector<std::string_view> names;
      for (const auto& [known, node] : templates_) names.push_back(known);
      const std::string near = api::nearest_word(*name, names);
      ref.left_out("there is no template of this name; left out" +
                   (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
      return std::nullopt;
    }
    if (under_way_.contains(*name)) {
      ref.left_out("a template cannot contain itself; left out");
      return std::nullopt;
    }
    if (const auto made = made_.find(*name); made != made_.end()) {
      if (!made->second) return std::nullopt;
      total_ += count(*made->second);
      if (total_ > kMostMade) {
        ref.left_out("more than " + std::to_string(api::kMostDaySteps) +
                     " steps are no day; left out");
        return std::nullopt;
      }
      return copied(*made->second);
    }
    under_way_.insert(*name);
    auto step = step_of(found->second, *name);
    under_way_.erase(*name);
    if (step) ++total_;
    made_[*name] = step;
    return step;
  }

  std::string fresh_name(const std::string& word) {
    const std::string name = dns_label(word, kLongestStep);
    if (names_.insert(name).second) return name;
    for (int number = 2;; ++number) {
      const std::string tail = "-" + std::to_string(number);
      std::string other =
          dns_label(name.substr(0, kLongestStep - tail.size()), kLongestStep) + tail;
      if (names_.insert(other).second) return other;
    }
  }

  // The same with names of its own; what depends on an earlier step of it depends on its copy.
  api::Step copied(const api::Step& step) {
    std::map<std::string, std::string> renamed;
    return copied(step, renamed);
  }
  api::Step copied(api::Step step, std::map<std::string, std::string>& renamed) {
    const std::string before = step.name;
    step.name = fresh_name(before);
    renamed[before] = step.name;
    if (step.when)
      if (const auto now = renamed.find(step.when->step); now != renamed.end())
        step.when->step = now->second;
    for (auto* steps : {&step.serial, &step.parallel})
      for (api::Step& inner : *steps) inner = copied(std::move(inner), renamed);
    return step;
  }

  std::optional<api::Step> step_of(const Node& node, const std::string& name) {
    const Node type = node["templateType"];
    const std::string word = type.text().value_or("");
    const auto deadline = node["deadline"].duration();
    api::Step step;
    step.name = fresh_name(name);
    const auto* kind = find_kind(word);
    bool good = true, by_itself = false;  // over without a deadline
    if (word == "Serial" || word == "Parallel")
      good = group(node, word == "Serial" ? step.serial : step.parallel);
    else if (word == "Suspend")
      suspend(node, deadline, step);
    else if (word == "Task")
      good = task(node, step);
    else if (word == "StatusCheck")
      status_check(node, step);
    else if (word == "Schedule")
      good = by_itself = schedule(node, deadline, step);
    else if (kind != nullptr && kind->convert != nullptr)
      good = by_itself = chaos(node[kind->key], *kind, deadline, step);
    else
      good = unknown(type, word, kind);
    source_.report_unread(node, "a template of a Workflow");
    if (!good) return std::nullopt;
    // A Suspend is over by itself, and so is an experiment.
    if (deadline && step.pause.value.count() == 0 && !by_itself)
      step.deadline.value =
          std::min<nanoseconds>(std::chrono::hours(24), deadline->value + measuring(step));
    return step;
  }

  bool unknown(const Node& type, const std::string& word, const ChaosKind* kind) {
    if (!type.given()) {
      type.left_out("has no type; left out");
    } else if (kind != nullptr) {
      type.left_out(word + " has no equivalent and is left out: " + std::string(kind->instead));
    } else {
      const std::string near = api::nearest_word(
          word, {"Serial", "Parallel", "Suspend", "Task", "StatusCheck", "Schedule", "NetworkChaos",
                 "IOChaos", "StressChaos", "PodChaos", "DNSChaos", "KernelChaos"});
      type.left_out("is no type of a template; left out" +
                    (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    return false;
  }

  bool group(const Node& node, std::vector<api::Step>& steps) {
    const Node children = node["children"];
    for (const Node& child : children.items())
      if (auto step = reach(child)) steps.push_back(std::move(*step));
    if (steps.empty()) {
      node.missing("children", "nothing is left of it; left out");
      return false;
    }
    return true;
  }

  static void suspend(const Node& node, const std::optional<api::Duration>& deadline,
                      api::Step& step) {
    if (deadline && deadline->value.count() > 0) {
      step.pause = *deadline;
      return;
    }
    node["deadline"].note("not given: somebody has to say that the day goes on");
    step.waitFor.emplace().person = "The day may go on";
  }

  // Nothing is run: somebody does it.
  bool task(const Node& node, api::Step& step) {
    const Node task = node["task"], container = task["container"];
    std::string words =
        "Run the container " + container["image"].text().value_or("of the Workflow");
    for (const char* key : {"command", "args"})
      for (const std::string& word : container[key].texts()) words += " " + word;
    task.left_out("no container is run here: it becomes a task for a person");
    step.task.emplace().text = printable(words, 1000);
    std::vector<api::Step> then;
    for (const Node& branch : node["conditionalBranches"].items()) {
      const Node expression = branch["expression"];
      auto when = condition(expression.text().value_or(""), step.name);
      if (expression.given() && !when) {
        branch.left_out(
            "only exitCode == 0 and exitCode != 0 are known; without it more would be "
            "done, so the branch is left out");
        continue;
      }
      auto next = reach(branch["target"]);
      if (!next) continue;
      next->when = std::move(when);
      then.push_back(std::move(*next));
    }
    if (then.empty()) return true;
    api::Step first = std::move(step);
    step = api::Step{};
    step.name = fresh_name(first.name + "-and-then");
    step.serial = std::move(then);
    step.serial.insert(step.serial.begin(), std::move(first));
    return true;
  }

  static std::optional<api::StepWhen> condition(std::string text, const std::string& step) {
    std::erase(text, ' ');
    if (text == "exitCode==0")
      return api::StepWhen{step, {api::StepOutcome::done, api::StepOutcome::met}};
    if (text == "exitCode!=0")
      return api::StepWhen{step, {api::StepOutcome::missed, api::StepOutcome::failed}};
    return std::nullopt;
  }

  // Nothing is fetched: somebody looks. Where nobody does the day is aborted as the Workflow would
  // be: it does less than was asked, not more.
  static void status_check(const Node& node, api::Step& step) {
    const Node check = node["statusCheck"], http = check["http"];
    const std::string url = http["url"].text().value_or("the address of the Workflow");
    std::string words = http["method"].text().value_or("GET") + " " + url + " answers ";
    words += http["criteria"]["statusCode"].text().value_or("200");
    if (check["mode"].text() == "Continuous") words += ", and goes on to do so";
    check.left_out(
        "no address is fetched here: a person confirms it; use waitFor.alert or waitFor.promql, or "
        "abortWhen of the day");
    step.waitFor.emplace().person = printable(words, 1000);
    const Node abort = node["abortWithStatusCheck"];
    if (abort.given() && abort.value()->is_bool() && abort.value()->get_bool())
      step.onMiss = api::OnMiss::abort;
    else if (abort.given() && !abort.value()->is_bool())
      abort.left_out("expected true or false");
  }

  bool schedule(const Node& node, const std::optional<api::Duration>& deadline, api::Step& step) {
    const Node spec = node["schedule"];
    const Node type = spec["type"];
    const auto* kind = find_kind(type.text().value_or(""));
    report_rows(spec, "Schedule");
    if (kind == nullptr || kind->convert == nullptr) {
      type.left_out("has no equivalent here; left out");
      if (!type.given()) spec.missing("type", "left out");
      return false;
    }
    return chaos(spec[kind->key], *kind, deadline, step);
  }

  bool chaos(const Node& spec, const ChaosKind& kind, const std::optional<api::Duration>& deadline,
             api::Step& step) {
    if (!spec.given()) {
      spec.left_out("left out");
      spec_.missing(kind.key, "a template has none; left out");
      return false;
    }
    const bool ends = deadline && deadline->value.count() > 0;
    Draft draft;
    draft.space = space_;
    draft.timed = ends;
    const bool own = spec["duration"].given();
    if (!convert_spec(source_, spec, kind, draft)) return false;
    std::vector<api::ExperimentSpec> made = experiments_of(std::move(draft));
    if (made.empty()) {
      spec.left_out("no fault is left, so there is no experiment");
      return false;
    }
    for (api::ExperimentSpec& one : made) {
      api::Duration& fault = one.phases.fault;
      if (ends) fault.value = own ? std::min(fault.value, deadline->value) : deadline->value;
      api::Experiment alone;
      alone.apiVersion = "faultline.dev/v1alpha1";
      alone.kind = "Experiment";
      alone.metadata.name = "x";
      alone.spec = one;
      if (const auto valid = api::validate(alone); !valid) {
        spec.left_out("the experiment would not be valid: " + valid.error().message);
        return false;
      }
    }
    if (made.size() == 1) {
      step.experiment.emplace().spec = std::move(made[0]);
      return true;
    }
    for (const char* where : {"-at-selector", "-at-target"}) {
      api::Step& inner = step.parallel.emplace_back();
      inner.name = fresh_name(step.name.substr(0, kLongestStep - 12) + where);
      inner.experiment.emplace().spec = std::move(made[step.parallel.size() - 1]);
      ++total_;
    }
    return true;
  }

  Source& source_;
  Node spec_;
  std::string space_;
  std::map<std::string, Node> templates_;
  std::map<std::string, std::optional<api::Step>> made_;
  std::set<std::string> under_way_, names_;
  std::size_t total_ = 0;
};

}  // namespace

std::optional<api::GameDay> convert_workflow(Source& source, const Node& root) {
  api::GameDay day{.apiVersion = "faultline.dev/v1alpha1", .kind = std::string(api::kGameDayKind)};
  convert_metadata(root["metadata"], day.metadata);
  if (const Node status = root["status"]; status.given()) {
    status.note("is what became of it; a game day gets its own");
    status.read_all();
  }
  const Node spec = root["spec"];
  if (!spec.given()) {
    root.missing("spec", "left out");
    return std::nullopt;
  }
  day.spec.title = printable("Workflow " + day.metadata.name, 256);
  const std::string space = day.metadata.namespace_.empty() ? "default" : day.metadata.namespace_;
  day.spec.steps = Flow(source, spec, space).steps();
  source.report_unread(root, "Workflow");
  if (!day.spec.steps.empty()) return day;
  spec.left_out("no step is left, so there is no game day");
  return std::nullopt;
}

}  // namespace faultline::cli
