// SPDX-License-Identifier: Apache-2.0
#include "controller/gameday/words.h"

#include <charconv>

#include "api/detail/decode.h"

namespace faultline::controller::gameday {
namespace {

template <class E>
std::string word(E value) {
  for (const auto& [text, known] : api::detail::enum_words<E>())
    if (known == value) return text;
  return {};
}

// From the worst to what is no result at all.
std::string_view part_of_key(std::string_view key, int part) {
  for (; part > 0; --part) {
    const std::size_t slash = key.find('/');
    if (slash == key.npos) return {};
    key.remove_prefix(slash + 1);
  }
  return key.substr(0, key.find('/'));
}

}  // namespace

std::string_view day_of_key(std::string_view key) { return part_of_key(key, 1); }
std::string_view step_of_key(std::string_view key) { return part_of_key(key, 2); }

bool is_quiet(const api::RunRecord& run) {
  const auto& notes = run.experiment.metadata.annotations;
  return run.experimentUid.starts_with(kRunKey) && notes.contains(std::string(api::kQuietNote));
}

bool is_control(api::EntryKind kind) {
  using enum api::EntryKind;
  return kind == started || kind == held || kind == resumed || kind == skipped || kind == aborted;
}

bool is_said(api::EntryKind kind) {
  using enum api::EntryKind;
  return is_control(kind) || kind == note || kind == tick || kind == missing ||
         kind == acknowledged || kind == mitigated || kind == found || kind == answered ||
         kind == action;
}

std::string speaker_of(const api::DayEntry& entry) {
  return entry.via == kViaChat ? std::string(kViaChat) : entry.who;
}

bool is_kept(api::EntryKind kind) {
  using enum api::EntryKind;
  return kind == tick || kind == acknowledged || kind == mitigated;
}

std::size_t bytes_of(const api::DayEntry& entry) {
  std::size_t bytes = entry.text.size() + entry.word.size() + entry.key.size() + entry.who.size() +
                      entry.step.size() + entry.run.size();
  if (entry.action)
    bytes += entry.action->text.size() + entry.action->owner.size() + entry.action->due.size() +
             entry.action->retest.size();
  return bytes;
}

api::DayState state_of(std::string_view word) {
  for (const auto& [text, known] : api::detail::enum_words<api::DayState>())
    if (text == word) return known;
  return api::DayState::failed;
}

std::string word_of(api::DayState state) { return word(state); }
std::string word_of(api::EntryKind kind) { return word(kind); }
std::string word_of(api::StepOutcome outcome) { return word(outcome); }
std::string word_of(api::DayRole role) { return word(role); }
std::string check_word(api::PreCheck check) { return word(check); }

api::StepOutcome outcome_of(api::RunState state, const std::optional<api::RunVerdict>& verdict) {
  if (state == api::RunState::Aborted) return api::StepOutcome::aborted;
  if (state != api::RunState::Completed || !verdict) return api::StepOutcome::failed;
  switch (*verdict) {
    case api::RunVerdict::met:
      return api::StepOutcome::met;
    case api::RunVerdict::missed:
      return api::StepOutcome::missed;
    case api::RunVerdict::partial:
      return api::StepOutcome::partial;
    case api::RunVerdict::aborted:
      return api::StepOutcome::aborted;
    case api::RunVerdict::not_real:
    case api::RunVerdict::failed:
      return api::StepOutcome::failed;
  }
  return api::StepOutcome::failed;
}

bool is_miss(api::StepOutcome outcome) {
  using enum api::StepOutcome;
  return outcome == missed || outcome == partial || outcome == failed || outcome == aborted;
}

bool beyond(double value, const std::string& above, const std::string& below) {
  const std::string& text = above.empty() ? below : above;
  double bound = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  return above.empty() ? value < bound : value > bound;
}

std::string alert_words(const std::string& name, const std::map<std::string, std::string>& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    text += (text.empty() ? "" : ", ") + key + "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text.empty() ? name : name + "{" + text + "}";
}

}  // namespace faultline::controller::gameday
