// SPDX-License-Identifier: Apache-2.0
// What people say on a game day in a line of text (an annotation), and what a chat posts.
#include <string>

#include "api/codec.h"
#include "controller/gameday/spoken.h"
#include "controller/routes/chat_note.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  if (choose(input, 2) == 0) {
    const auto word = controller::gameday::spoken_word(input);
    if (!word) return must(!word.error().message.empty(), "what is wrong is said");
    must(word->text.size() <= input.size(), "a text is a part of the line");
    return;
  }
  const auto note = controller::parse_chat_note(input, "chat-0123456789");
  if (!note) return;
  must(note->word.kind == api::EntryKind::note, "a chat writes notes and nothing else");
  must(note->who.ends_with(" (chat)"), "in no name but that of a chat");
}

}  // namespace faultline::fuzz
