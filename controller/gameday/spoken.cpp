// SPDX-License-Identifier: Apache-2.0
#include "controller/gameday/spoken.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <vector>

#include "api/codec.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {
namespace {

using api::DayWord;
using api::EntryKind;

struct Verb {
  std::string_view name;
  EntryKind kind;
  bool step = false;              // the first argument is one
  bool need_step = false;         // and has to be there
  bool item = false;              // the second is a number
  std::string_view options = {};  // separated by blanks; those with a value end in '='
};
constexpr Verb kVerbs[] = {
    {.name = "start", .kind = EntryKind::started},
    {.name = "next", .kind = EntryKind::answered, .step = true},
    {.name = "done",
     .kind = EntryKind::answered,
     .step = true,
     .need_step = true,
     .options = "outcome="},
    {.name = "hold", .kind = EntryKind::held, .options = "keep"},
    {.name = "resume", .kind = EntryKind::resumed},
    {.name = "skip", .kind = EntryKind::skipped, .step = true, .need_step = true},
    {.name = "abort", .kind = EntryKind::aborted},
    {.name = "note", .kind = EntryKind::note, .options = "step="},
    {.name = "tick",
     .kind = EntryKind::tick,
     .step = true,
     .need_step = true,
     .item = true,
     .options = "failed"},
    {.name = "missing", .kind = EntryKind::missing, .step = true, .need_step = true},
    {.name = "ack", .kind = EntryKind::acknowledged},
    {.name = "mitigated", .kind = EntryKind::mitigated},
    {.name = "action", .kind = EntryKind::action, .options = "owner= due= retest="}};

// Takes the next word of a line; empty: there is none.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t\r\n"), line.size()));
  const std::size_t end = std::min(line.find_first_of(" \t\r\n"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != text.npos)
    text.remove_suffix(1);
  return text;
}

tl::unexpected<Error> wrong(std::string_view what, std::string_view expected,
                            std::string_view got) {
  return fail(Errc::kInvalid, std::string(what) + ": expected " + std::string(expected) +
                                  ", got \"" + std::string(got) + "\"");
}

using Options = std::map<std::string, std::string, std::less<>>;

// Options come before the text, so that nothing of a text is taken for one.
Result<> take_options(const Verb& verb, std::string_view& line, Options& taken) {
  while (true) {
    std::string_view rest = line;
    const std::string_view word = take_word(rest);
    if (!word.starts_with("--") || verb.options.empty()) return {};
    const std::string name(word.substr(2));
    std::string_view known = verb.options;
    bool found = false, valued = false;
    for (std::string_view one = take_word(known); !one.empty(); one = take_word(known)) {
      valued = one.ends_with('=');
      found = one.substr(0, one.size() - (valued ? 1 : 0)) == name;
      if (found) break;
    }
    if (!found)
      return wrong(verb.name, "one of its options (" + std::string(verb.options) + ") or a text",
                   word);
    std::string value;
    if (valued) value = std::string(take_word(rest));
    if (valued && value.empty()) return wrong("--" + name, "a value", "");
    taken[name] = std::move(value);
    line = rest;
  }
}

Result<> take_outcome(const Options& options, DayWord& word) {
  const auto given = options.find("outcome");
  if (given == options.end()) return {};
  for (const auto outcome :
       {api::StepOutcome::done, api::StepOutcome::met, api::StepOutcome::missed,
        api::StepOutcome::partial, api::StepOutcome::skipped})
    if (word_of(outcome) == given->second) word.outcome = outcome;
  if (word.outcome) return {};
  return wrong("--outcome", "done, met, missed, partial or skipped", given->second);
}

}  // namespace

std::string_view spoken_verbs() {
  return "start, next [STEP], done STEP [--outcome WORD] [TEXT], hold [--keep] [WHY], resume, skip "
         "STEP [WHY], abort [WHY], note [--step STEP] TEXT, tick STEP ITEM [--failed] [TEXT], "
         "missing STEP TEXT, ack [ALERT] [TEXT], mitigated [TEXT], action [--owner NAME] [--due "
         "DATE] [--retest STEP] TEXT";
}

Result<DayWord> spoken_word(std::string_view line) {
  if (line.size() > kLongestSpoken)
    return fail(Errc::kInvalid, "it has " + std::to_string(line.size()) + " bytes, at most " +
                                    std::to_string(kLongestSpoken) + " are a word");
  const std::string_view name = take_word(line);
  const auto* verb = std::ranges::find(kVerbs, name, &Verb::name);
  if (verb == std::end(kVerbs)) {
    std::vector<std::string_view> names;
    for (const Verb& one : kVerbs) names.push_back(one.name);
    const std::string near = api::nearest_word(name, names);
    return fail(Errc::kInvalid, "expected one of: " + std::string(spoken_verbs()) + "; got \"" +
                                    std::string(name) + "\"" +
                                    (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  DayWord word{.kind = verb->kind};
  if (verb->step) word.step = std::string(take_word(line));
  if (verb->need_step && word.step.empty()) return wrong(verb->name, "the name of a step", "");
  if (verb->item) {
    const std::string_view text = take_word(line);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), word.item);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || word.item < 1)
      return wrong(verb->name, "the number of a step of the runbook, from 1", text);
  }
  Options options;
  if (auto taken = take_options(*verb, line, options); !taken) return fail(taken.error());
  if (auto good = take_outcome(options, word); !good) return fail(good.error());
  if (verb->kind == EntryKind::acknowledged) word.word = std::string(take_word(line));
  word.text = std::string(trimmed(line));
  if (verb->kind == EntryKind::held) word.good = options.contains("keep");
  if (verb->kind == EntryKind::tick) word.good = !options.contains("failed");
  if (const auto step = options.find("step"); step != options.end()) word.step = step->second;
  if (verb->kind == EntryKind::action)
    word.action = api::ActionItem{.text = std::exchange(word.text, {}),
                                  .owner = options["owner"],
                                  .due = options["due"],
                                  .retest = options["retest"]};
  if ((verb->kind == EntryKind::started || verb->kind == EntryKind::resumed) && !word.text.empty())
    return wrong(verb->name, "nothing behind it", word.text);
  return word;
}

}  // namespace faultline::controller::gameday
