// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/chat_note.h"

#include <boost/json/object.hpp>

#include "api/codec.h"
#include "document/json.h"

namespace faultline::controller {
namespace {

constexpr document::Budget kNote{kLongestChatNote, 64, 4};
constexpr std::size_t kLongestName = 128;

}  // namespace

Result<ChatNote> parse_chat_note(std::string_view body, std::string fresh_key) {
  const auto value = document::parse_json(body, kNote);
  if (!value) return fail(value.error().with_context("a note of a chat"));
  const boost::json::object* object = value->if_object();
  if (object == nullptr)
    return fail(Errc::kInvalid, "expected an object like {\"user\": \"jane\", \"text\": \"...\"}");
  std::string user;
  boost::json::object word{{"kind", "note"}, {"key", fresh_key}};
  for (const auto& [key, given] : *object) {
    if (key != "user" && key != "text" && key != "at" && key != "key")
      return fail(Errc::kInvalid,
                  std::string(key) + ": unknown key, expected one of user, text, at and key");
    if (!given.is_string()) return fail(Errc::kInvalid, std::string(key) + ": expected a text");
    if (key == "user")
      user = std::string(given.get_string());
    else
      word[key] = given;
  }
  if (user.empty() || user.size() > kLongestName)
    return fail(Errc::kInvalid, "user: expected the name of who says it in the chat, 1 to " +
                                    std::to_string(kLongestName) + " bytes");
  auto read = api::from_json<api::DayWord>(word);
  if (!read) return fail(read.error());
  if (read->text.empty())
    return fail(Errc::kInvalid, "text: missing, expected what is to be noted");
  return ChatNote{.who = user + " (chat)", .word = std::move(*read)};
}

}  // namespace faultline::controller
