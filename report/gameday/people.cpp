// SPDX-License-Identifier: Apache-2.0
#include "report/gameday/people.h"

#include <cctype>

namespace faultline::report::gameday {
namespace {

std::string_view bare_word(api::DayRole role) {
  switch (role) {
    case api::DayRole::facilitator:
      return "facilitator";
    case api::DayRole::commander:
      return "commander";
    case api::DayRole::scribe:
      return "scribe";
    case api::DayRole::observer:
      return "observer";
    case api::DayRole::none:
      break;
  }
  return "";
}

std::string role_words(api::DayRole role) {
  if (role == api::DayRole::none) return "somebody";
  return (role == api::DayRole::observer ? "an " : "the ") + std::string(bare_word(role));
}

// A character that a name goes on with, so that "jane" is not found in "janet" or "jane-1".
bool goes_on(std::string_view text, std::size_t at) {
  if (at >= text.size()) return false;
  const auto c = static_cast<unsigned char>(text[at]);
  return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '@' || c >= 0x80;
}

}  // namespace

bool said_by_people(api::EntryKind kind) { return kind >= api::EntryKind::note; }

bool by_controller(const api::DayEntry& entry) {
  return entry.who.empty() && (entry.via.empty() || !said_by_people(entry.kind));
}

People::People(const api::GameDayRecord& record, Names names) : shown_(names == Names::kShown) {
  const auto add = [&](const std::string& name, api::DayRole role) {
    if (name.empty()) return;
    const auto [place, fresh] = known_.emplace(name, role);
    if (!fresh && place->second == api::DayRole::none) place->second = role;
  };
  const api::GameDayRoles& roles = record.document.spec.roles;
  for (const std::string& name : roles.facilitator) add(name, api::DayRole::facilitator);
  for (const std::string& name : roles.commander) add(name, api::DayRole::commander);
  for (const std::string& name : roles.scribe) add(name, api::DayRole::scribe);
  for (const std::string& name : roles.observers) add(name, api::DayRole::observer);
  for (const api::DayEntry& entry : record.entries) add(entry.who, entry.role);
  add(record.requestedBy, api::DayRole::none);
}

std::string People::who(const api::DayEntry& entry) const {
  if (by_controller(entry)) return "";
  if (entry.who.empty()) return role_words(entry.role);
  const auto known = known_.find(entry.who);
  const api::DayRole role = entry.role != api::DayRole::none ? entry.role
                            : known != known_.end()          ? known->second
                                                             : api::DayRole::none;
  if (!shown_) return role_words(role);
  return entry.who + (role == api::DayRole::none ? "" : " (" + std::string(bare_word(role)) + ")");
}

std::string People::whose(api::DayRole role) {
  return role == api::DayRole::none ? "anybody" : role_words(role);
}

std::string People::owner(const std::string& text) const {
  const auto known = known_.find(text);
  return shown_ || known == known_.end() ? text : role_words(known->second);
}

std::string People::tame(std::string text) const {
  if (shown_ || text.empty()) return text;
  // From the end of the order, so that a longer name goes before one that it begins with.
  for (auto name = known_.rbegin(); name != known_.rend(); ++name)
    for (std::size_t at = text.find(name->first); at != text.npos;
         at = text.find(name->first, at)) {
      const std::size_t end = at + name->first.size();
      if (goes_on(text, end) || (at > 0 && goes_on(text, at - 1))) {
        at = end;
        continue;
      }
      const std::string word = role_words(name->second);
      text.replace(at, name->first.size(), word);
      at += word.size();
    }
  return text;
}

}  // namespace faultline::report::gameday
