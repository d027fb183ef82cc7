// SPDX-License-Identifier: Apache-2.0
// What people say on a game day. Each word has a key and its own time, and is sent again while the
// controller is away, so that it is neither lost nor doubled.
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ostream>

#include "api/codec.h"
#include "base/clock.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/commands/gameday.h"
#include "cli/gameday/view.h"
#include "cli/random_key.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

using api::DayWord;
using api::EntryKind;

constexpr std::chrono::minutes kPatience{10};
constexpr std::chrono::seconds kAtOnce{2};

std::string words_from(const Invocation& call, std::size_t first) {
  std::string text;
  for (std::size_t i = first; i < call.arguments.size(); ++i)
    text += (text.empty() ? "" : " ") + call.arguments[i];
  return text;
}

Result<> fill_nothing(const Invocation&, DayWord&) { return {}; }

Result<> fill_text(const Invocation& call, DayWord& word) {
  word.text = words_from(call, 1);
  if (const auto step = call.get("step")) word.step = *step;
  return {};
}

Result<> fill_step(const Invocation& call, DayWord& word) {
  if (call.arguments.size() > 1) word.step = call.arguments[1];
  word.text = words_from(call, 2);
  return {};
}

Result<> fill_answer(const Invocation& call, DayWord& word) {
  if (const auto given = call.get("outcome"))
    for (const auto outcome :
         {api::StepOutcome::done, api::StepOutcome::met, api::StepOutcome::missed,
          api::StepOutcome::partial, api::StepOutcome::skipped})
      if (outcome_word(outcome) == *given) word.outcome = outcome;
  return fill_step(call, word);
}

Result<> fill_hold(const Invocation& call, DayWord& word) {
  word.good = call.has("keep");
  return fill_text(call, word);
}

Result<> fill_tick(const Invocation& call, DayWord& word) {
  const std::string& text = call.arguments[2];
  const auto read = std::from_chars(text.data(), text.data() + text.size(), word.item);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || word.item < 1)
    return fail(Errc::kInvalid,
                "ITEM: expected the number of a step of the runbook, from 1, got '" + text + "'");
  word.step = call.arguments[1];
  word.good = !call.has("failed");
  word.text = words_from(call, 3);
  return {};
}

Result<> fill_ack(const Invocation& call, DayWord& word) {
  if (call.arguments.size() > 1) word.word = call.arguments[1];
  word.text = words_from(call, 2);
  return {};
}

Result<> fill_action(const Invocation& call, DayWord& word) {
  word.action = api::ActionItem{.text = words_from(call, 1),
                                .owner = call.get("owner").value_or(""),
                                .due = call.get("due").value_or(""),
                                .retest = call.get("retest").value_or("")};
  return {};
}

struct Verb {
  std::string_view name;
  EntryKind kind;
  Result<> (*fill)(const Invocation&, DayWord&);
};
constexpr Verb kVerbs[] = {
    {"start", EntryKind::started, fill_text},     {"next", EntryKind::answered, fill_answer},
    {"done", EntryKind::answered, fill_answer},   {"hold", EntryKind::held, fill_hold},
    {"resume", EntryKind::resumed, fill_nothing}, {"skip", EntryKind::skipped, fill_step},
    {"abort", EntryKind::aborted, fill_text},     {"note", EntryKind::note, fill_text},
    {"tick", EntryKind::tick, fill_tick},         {"missing", EntryKind::missing, fill_step},
    {"ack", EntryKind::acknowledged, fill_ack},   {"mitigated", EntryKind::mitigated, fill_text},
    {"found", EntryKind::found, fill_text},       {"action", EntryKind::action, fill_action}};

Result<DayWord> word_of(const Invocation& call, const Console& console) {
  const std::string_view name = verb_word(*call.command);
  const auto* verb = std::ranges::find(kVerbs, name, &Verb::name);
  DayWord word{.kind = verb->kind};
  if (auto good = verb->fill(call, word); !good) return fail(good.error());
  const UtcTime now = SystemClock().utc();
  word.at.value = now;
  if (const auto given = call.get("at")) {
    const auto at = time_of(*given, now);
    if (!at) return fail(at.error());
    word.at = *at;
  }
  word.as = speaker_of(call, console);
  if (const auto key = call.get("key")) {
    word.key = *key;
  } else {
    auto fresh = random_key();
    if (!fresh) return fail(fresh.error());
    word.key = std::move(*fresh);
  }
  // What the controller would refuse is told before it is asked.
  if (auto good = api::from_json<DayWord>(api::to_json(word)); !good) return fail(good.error());
  return word;
}

// A word that may not have been taken can be said again, by a person or a script.
Error with_key(Error error, const DayWord& word) {
  error.message += "\nwhether it was taken is not known: the same command with --key " + word.key +
                   " --at " + word.at.format() + " is the same entry";
  return error;
}

}  // namespace

Result<std::chrono::milliseconds> patience_of(const Invocation& call) {
  const auto text = call.get("wait");
  if (!text) return kPatience;
  const auto wait = api::Duration::parse(*text);
  if (!wait) return fail(wait.error().with_context("--wait"));
  return std::chrono::ceil<std::chrono::milliseconds>(wait->value);
}

std::string speaker_of(const Invocation& call, const Console& console) {
  const auto as = call.get("as");
  return as ? *as : console.env("FAULTLINE_AS").value_or("");
}

Result<api::Timestamp> time_of(const std::string& text, UtcTime now) {
  constexpr std::chrono::seconds kAhead{5};  // clocks differ
  auto time = api::Timestamp::parse(text);
  if (!time && text.size() >= 5) {
    const std::string seconds = text.size() == 5 ? text + ":00" : text;
    const std::string today = api::Timestamp{now}.format().substr(0, 11);
    time = api::Timestamp::parse(today + seconds + "Z");
    if (time && time->value > now + kAhead) time->value -= std::chrono::days(1);
  }
  if (!time)
    return fail(Errc::kInvalid,
                "--at: expected a time like 2026-11-23T10:15:02Z, or 10:15 or 10:15:02 in UTC, "
                "got '" +
                    text + "'");
  if (time->value > now + kAhead)
    return fail(Errc::kInvalid, "--at: " + text + " is still to come");
  return *time;
}

std::function<void(const std::string&)> sayer(Console& console) {
  return [&console](const std::string& line) {
    console.err << "  " << printable(line) << "\n" << std::flush;
  };
}

Result<int> run_gameday_word(Invocation& call, Console& console) {
  auto word = word_of(call, console);
  if (!word) return fail(word.error());
  const auto patience = patience_of(call);
  if (!patience) return fail(patience.error());
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const DayApi days(*api);
  const Interrupt interrupt;
  const auto say = sayer(console);
  const auto id = patiently<std::string>([&] { return days.id_of(call.arguments[0]); }, *patience,
                                         interrupt, say);
  if (!id) return fail(id.error());
  // What is taken at once has the controller's time, since clocks differ; what is taken late ours.
  const bool said = call.has("at") || call.has("key");
  const auto entry = patiently<api::DayEntry>(
      [&] {
        api::DayWord now = *word;
        if (!said && SystemClock().utc() - now.at.value < kAtOnce) now.at = {};
        return days.say(*id, now);
      },
      *patience, interrupt, say);
  if (!entry) return fail(is_away(entry.error()) ? with_key(entry.error(), *word) : entry.error());
  if (call.json())
    print_json(console.out, boost::json::object{{"day", *id}, {"entry", api::to_json(*entry)}});
  else
    console.out << "  " << entry_line(*entry) << "\n";
  return kExitMet;
}

}  // namespace faultline::cli
