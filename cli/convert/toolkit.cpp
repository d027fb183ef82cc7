// SPDX-License-Identifier: Apache-2.0
// An experiment of the Chaos Toolkit as a game day. Nothing is called or run here: what its probes
// and actions do becomes something that a person confirms or does.
#include <boost/json/serialize.hpp>
#include <map>
#include <set>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/convert/kinds.h"
#include "cli/convert/mapping.h"

namespace faultline::cli {
namespace {

constexpr std::string_view kKind = "Chaos Toolkit";
constexpr std::size_t kLongestStep = 40, kLongestWords = 1000;
// Nobody waits for ever, so that the day ends where nobody is.
constexpr std::chrono::minutes kPatience{10};

class Toolkit {
 public:
  Toolkit(Source& source, const Node& root) : source_(source), root_(root) {}

  std::optional<api::GameDay> convert() {
    api::GameDay day{.apiVersion = "faultline.dev/v1alpha1",
                     .kind = std::string(api::kGameDayKind)};
    const std::string title = root_["title"].text().value_or("");
    if (title.empty()) root_.missing("title", "the day is called experiment");
    day.metadata.name = dns_label(title, kLongestStep);
    day.spec.title = printable(title.empty() ? std::string("experiment") : title, 256);
    if (const auto text = root_["description"].text(); text && !text->empty())
      add(day.spec.steps, "description").note = printable(*text, kLongestWords);
    const Node state = root_["steady-state-hypothesis"];
    day.spec.hypothesis = printable(state["title"].text().value_or(""), kLongestWords);
    remember(state["probes"]);
    remember(root_["method"]);
    if (state.given()) hypothesis(day, state, "before");
    activities(root_["method"], day.spec.steps);
    if (!root_["method"].given()) root_.missing("method", "nothing is known to be done");
    if (state.given()) hypothesis(day, state, "after");
    if (const Node back = root_["rollbacks"]; back.given() && !back.items().empty()) {
      std::vector<api::Step> steps;
      activities(back, steps);
      if (!steps.empty()) add(day.spec.steps, "rollbacks").serial = std::move(steps);
    }
    if (root_["version"].given())
      root_["version"].note("is the version of the Chaos Toolkit's words");
    for (const char* key : {"tags", "contributions", "configuration", "secrets", "controls",
                            "extensions", "runtime", "dry"})
      root_[key].left_out(why_not(kKind, key));
    source_.report_unread(root_, kKind);
    if (!day.spec.steps.empty()) return day;
    root_.left_out("no step is left, so there is no game day");
    return std::nullopt;
  }

 private:
  api::Step& add(std::vector<api::Step>& steps, const std::string& word) {
    const std::string name = dns_label(word, kLongestStep);
    api::Step& step = steps.emplace_back();
    step.name = name;
    for (int number = 2; !names_.insert(step.name).second; ++number) {
      const std::string tail = "-" + std::to_string(number);
      step.name = dns_label(name.substr(0, kLongestStep - tail.size()), kLongestStep) + tail;
    }
    return step;
  }

  // Activities that others refer to by their names.
  void remember(const Node& list) {
    for (const Node& item : list.items())
      if (const auto name = item["name"].text()) known_.emplace(*name, item);
  }

  void hypothesis(api::GameDay& day, const Node& state, const char* when) {
    std::vector<api::Step> steps;
    for (const Node& probe : state["probes"].items()) {
      const std::string name = probe["name"].text().value_or("probe");
      const std::size_t before = steps.size();
      activity(probe, name + "-" + when, steps);
      // Without a steady state nothing is broken.
      for (std::size_t i = before; i < steps.size(); ++i)
        if (std::string_view(when) == "before") steps[i].onMiss = api::OnMiss::abort;
    }
    if (steps.empty()) return;
    add(day.spec.steps, std::string("steady-state-") + when).serial = std::move(steps);
  }

  void activities(const Node& list, std::vector<api::Step>& steps) {
    if (list.given() && !list.value()->is_array()) list.left_out("expected a list");
    for (const Node& item : list.items()) {
      const Node ref = item["ref"];
      Node what = item;
      if (const auto name = ref.text()) {
        const auto found = known_.find(*name);
        if (found == known_.end()) {
          ref.left_out("there is nothing of this name; left out");
          continue;
        }
        what = found->second;
      }
      activity(what, what["name"].text().value_or("step"), steps);
    }
  }

  void activity(const Node& item, const std::string& name, std::vector<api::Step>& steps) {
    const Node type = item["type"], pauses = item["pauses"];
    const std::string word = type.text().value_or("");
    if (word != "probe" && word != "action") {
      if (type.given())
        type.left_out("expected probe or action; left out");
      else
        item.missing("type", "left out");
      item.read_all();
      return;
    }
    if (pauses.given() && !pauses.value()->is_object()) pauses.left_out("expected a map");
    pause(pauses["before"], name + "-before", steps);
    const Node provider = item["provider"], tolerance = item["tolerance"];
    std::string words = provider_words(provider);
    api::Step& step = add(steps, name);
    step.title = printable(name, 256);
    if (word == "probe" && tolerance.given()) {
      words += " is as expected: " + boost::json::serialize(*tolerance.value());
      tolerance.read_all();
      step.waitFor.emplace().person = printable(words, kLongestWords);
      step.deadline.value = kPatience;
    } else {
      api::StepTask& task = step.task.emplace();
      task.text = printable((word == "probe" ? "Look: " : "Do: ") + words, kLongestWords);
      task.timeout.value = kPatience;
      if (word == "probe") task.otherwise = api::StepOutcome::skipped;
    }
    if (!once_.contains(provider.path())) {
      provider.left_out(word == "probe"
                            ? "nothing is called or run here: a person confirms it; use "
                              "waitFor.alert or waitFor.promql"
                            : "nothing is called or run here: it becomes a task for a person; use "
                              "an experiment where a fault is meant");
      const Node background = item["background"];
      if (background.given() && background.value()->is_bool() && !background.value()->get_bool())
        background.read_all();
      else
        background.left_out("steps are done one after the other; use parallel");
      item["controls"].left_out(why_not(kKind, "controls"));
    }
    once_.insert(provider.path());
    pause(pauses["after"], name + "-after", steps);
  }

  // Seconds.
  void pause(const Node& node, const std::string& name, std::vector<api::Step>& steps) {
    if (!node.given()) return;
    constexpr double kLongest = 24 * 3600;
    const auto seconds = node.number(0, kLongest);
    if (!seconds || *seconds <= 0) return;  // said already, or none
    add(steps, name).pause.value =
        std::chrono::round<std::chrono::nanoseconds>(std::chrono::duration<double>(*seconds));
  }

  // What it calls or runs. Headers and secrets are not for people's eyes.
  static std::string provider_words(const Node& provider) {
    const std::string type = provider["type"].text().value_or("");
    const auto shown = [](const Node& node) {
      return node.given() ? " " + boost::json::serialize(*node.value()) : std::string();
    };
    if (type == "http")
      return provider["method"].text().value_or("GET") + " " +
             provider["url"].text().value_or("an address");
    if (type == "process")
      return "run " + provider["path"].text().value_or("a program") + shown(provider["arguments"]);
    return provider["module"].text().value_or("something") + "." +
           provider["func"].text().value_or("something") + shown(provider["arguments"]);
  }

  Source& source_;
  Node root_;
  std::map<std::string, Node> known_;
  std::set<std::string> names_, once_;
};

}  // namespace

std::optional<api::GameDay> convert_toolkit(Source& source, const Node& root) {
  return Toolkit(source, root).convert();
}

}  // namespace faultline::cli
